"""The command line: `holdfast` for jobs and processes, `dlq-tool` for dead letters.

Invariant: stdout carries what was asked for (a table, an id, or JSON Lines with `--json`), stderr everything else,
and the exit code says how it went. Nothing heavy is imported before a command needs it.
"""
