"""The ports, in memory: the reference that the real adapters are held against, and what the property tests drive."""
