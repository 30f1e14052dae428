"""Channels whose users are URLs: each is read by libav in a thread of its own, its packets tapped before any decoder."""
