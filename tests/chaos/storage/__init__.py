"""What an object store may do to a recording, done to a real one: `python -m tests.chaos.storage`."""
