"""The bottom of the house: what is true of a recording, and where it is written down."""
