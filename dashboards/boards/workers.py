"""Are there enough workers, are they well, and what do they wait for?"""

from __future__ import annotations

from panels import board, lines, number, share

RATE = "[$__rate_interval]"


def build() -> object:
    """The dashboard."""
    return board(
        "workers",
        "Holdfast: workers",
        {
            "Now": (
                number("Workers that answer", "short", 'sum(up{job="worker"})'),
                number(
                    "Busy, of all slots",
                    "percentunit",
                    "sum(holdfast_worker_busy) / sum(holdfast_worker_concurrency)",
                    bad_above=0.95,
                ),
                number("Consumers", "short", "sum(holdfast_queue_consumers)"),
                number("Leases that ran out", "short", 'sum(holdfast_jobs_in{place="rescue"})', bad_above=0.5),
            ),
            "Work": (
                lines(
                    "Busy slots",
                    "short",
                    ("sum by (instance) (holdfast_worker_busy)", "{{instance}}"),
                    ("sum(holdfast_worker_concurrency)", "all slots"),
                ),
                lines(
                    "Attempts begun",
                    "ops",
                    (f"sum by (instance) (rate(holdfast_attempts_started_total{RATE}))", "{{instance}}"),
                ),
                lines(
                    "Wait in the queue, by kind",
                    "s",
                    *share("holdfast_job_queue_wait_seconds", "kind", quantiles=(0.95,)),
                ),
            ),
            "Health": (
                lines(
                    "Processes started since the worker's start",
                    "short",
                    ("holdfast_worker_processes_started_total", "{{instance}}"),
                ),
                lines(
                    "Tickets that got no claim, by why",
                    "ops",
                    (f"sum by (reason) (rate(holdfast_tickets_refused_total{RATE}))", "{{reason}}"),
                ),
                lines("Memory", "bytes", ('process_resident_memory_bytes{job=~"worker|api"}', "{{instance}}")),
            ),
            "The steward": (
                lines("Who leads", "short", ("sum by (instance) (holdfast_steward_leading)", "{{instance}}")),
                lines("Length of a turn, p95", "s", *share("holdfast_steward_loop_seconds", "loop", quantiles=(0.95,))),
                lines(
                    "Tickets that it published",
                    "ops",
                    (f"sum by (loop) (rate(holdfast_steward_tickets_total{RATE}))", "{{loop}}"),
                ),
            ),
        },
    )
