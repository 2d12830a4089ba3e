"""Measurements that need the platform's own parts. They print ratios, and assert nothing about time."""
