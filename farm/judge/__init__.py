"""Judges a recording by what lies in the store: rules of the playlist, frames counted, flashes and beeps found."""
