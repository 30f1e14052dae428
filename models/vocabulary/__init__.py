"""The words every part of the farm shares. Pure: imports nothing of ours, does no I/O, reads no clock."""
