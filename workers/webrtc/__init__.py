"""What a tapped WebRTC connection needs, for the ingest and for recorders that join rooms themselves."""
