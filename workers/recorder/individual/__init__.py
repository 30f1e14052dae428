"""Individual mode: each user's streams by themselves, as their senders encoded them."""
