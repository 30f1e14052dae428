"""What an operator does every day: look at recordings, jobs and nodes, and take nodes out of service and in again."""
