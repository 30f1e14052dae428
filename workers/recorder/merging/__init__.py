"""Merging: what an individual recording has of its users, played once more to the mixer and made one film."""
