"""Isolation by child processes: `pool` is the worker's side, `child` the other; `frames` is what goes between them.

Nothing is imported here, so that a child starts in the time that Python itself takes.
"""
