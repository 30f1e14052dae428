"""One recording in one process: capture → mixer → segment → upload."""
