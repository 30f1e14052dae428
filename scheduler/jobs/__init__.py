"""Supervised jobs: keep a channel recorded, by the contract's HTTP, as its best practices ask of every integrator."""
