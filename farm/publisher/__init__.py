"""A synthetic user who publishes over real WebRTC: for the demo, the tests and the benches."""
