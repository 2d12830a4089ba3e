"""The rules of Holdfast, in plain Python: no I/O, no clock, no randomness, nothing but the standard library."""
