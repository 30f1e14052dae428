"""Rooms of Janus' VideoRoom plugin, joined unseen: by handles that only subscribe, and by looking at the room's list."""
