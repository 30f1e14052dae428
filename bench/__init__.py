"""Measurements with public tools. Run by hand (`make bench-mixer`, `make soak`); nothing here is a timed test."""
