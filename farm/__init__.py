"""The whole farm on one machine: the embedded default, its processes, the demo, and the `reelyard` command."""
