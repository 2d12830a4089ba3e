"""Holdfast: background jobs that are never lost, never run their effect twice, and never take each other down."""

__version__ = "0.1.0"
