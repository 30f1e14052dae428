"""What does the work: a Celery worker (= node) and the recorders and the ingest beside it."""
