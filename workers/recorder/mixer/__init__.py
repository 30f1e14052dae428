"""Units and scenes in, pictures and sound out. Knows no clock: driven by calls, pure of time."""
