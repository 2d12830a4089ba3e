"""Is Holdfast doing its work, and how fast?"""

from __future__ import annotations

from panels import board, lines, number, share

RATE = "[$__rate_interval]"
WAIT, RUN = "holdfast_job_queue_wait_seconds", "holdfast_job_run_seconds"
END = "holdfast_job_end_to_end_seconds"
ENDED = f"sum(rate(holdfast_attempts_ended_total{RATE}))"
FAILED = f'sum(rate(holdfast_attempts_ended_total{{end=~"retried|buried"}}{RATE}))'


def build() -> object:
    """The dashboard."""
    return board(
        "overview",
        "Holdfast: overview",
        {
            "Now": (
                number("Done", "ops", f'sum(rate(holdfast_jobs_ended_total{{outcome="succeeded"}}{RATE}))'),
                number("Attempts that fail", "percentunit", f"{FAILED} / ({ENDED} > 0) or vector(0)", bad_above=0.05),
                number("Waiting to run", "short", 'sum(holdfast_jobs{state="queued"})'),
                number("Open dead letters", "short", "sum(holdfast_dead_letters)", bad_above=0.5),
                number("Unaccounted jobs", "short", "sum(holdfast_jobs_unaccounted)", bad_above=0.5),
                number("Outbox lag", "s", "max(holdfast_outbox_oldest_seconds)", bad_above=30),
            ),
            "Throughput": (
                lines(
                    "Jobs in and out",
                    "ops",
                    (f"sum(rate(holdfast_jobs_accepted_total{RATE}))", "accepted"),
                    (f'sum(rate(holdfast_jobs_ended_total{{outcome="succeeded"}}{RATE}))', "succeeded"),
                    (f'sum(rate(holdfast_jobs_ended_total{{outcome!="succeeded"}}{RATE}))', "dead or cancelled"),
                ),
                lines(
                    "Done by kind",
                    "ops",
                    (f'sum by (kind) (rate(holdfast_jobs_ended_total{{outcome="succeeded"}}{RATE}))', "{{kind}}"),
                ),
                lines(
                    "Refused, by reason",
                    "ops",
                    (f"sum by (reason) (rate(holdfast_jobs_refused_total{RATE}))", "{{reason}}"),
                    (f"sum(rate(holdfast_jobs_deduplicated_total{RATE}))", "deduplicated"),
                ),
            ),
            "Errors and retries": (
                lines("Attempts that fail, of all", "percentunit", (f"{FAILED} / ({ENDED} > 0)", "failed")),
                lines(
                    "Attempts by how they end",
                    "ops",
                    (f"sum by (end) (rate(holdfast_attempts_ended_total{RATE}))", "{{end}}"),
                    stacked=True,
                ),
                lines(
                    "Dead letters filed, by reason",
                    "ops",
                    (f"sum by (reason) (rate(holdfast_dead_letters_filed_total{RATE}))", "{{reason}}"),
                ),
            ),
            "How long": (
                lines("Wait in the queue", "s", *share(WAIT, "")),
                lines("Run of an attempt, by kind", "s", *share(RUN, "kind", quantiles=(0.5, 0.95))),
                lines("Accepted to ended", "s", *share(END, "")),
            ),
            "Depth": (
                lines(
                    "Messages ready, by work queue",
                    "short",
                    ('sum by (queue) (holdfast_queue_messages{queue!~"holdfast.retry.*",state="ready"})', "{{queue}}"),
                    stacked=True,
                ),
                lines(
                    "Messages waiting for a retry, by tier",
                    "short",
                    (
                        'sum by (tier) (label_replace(holdfast_queue_messages{queue=~"holdfast.retry.*",state="ready"},'
                        ' "tier", "$1", "queue", "holdfast.retry.([0-9]+s).*"))',
                        "{{tier}}",
                    ),
                    stacked=True,
                ),
                lines(
                    "Jobs waiting to run, by queue and priority",
                    "short",
                    ("sum by (queue, priority) (holdfast_jobs_waiting)", "{{queue}} {{priority}}"),
                    stacked=True,
                ),
                lines(
                    "Jobs that have not ended, by who moves them on",
                    "short",
                    ("sum by (place) (holdfast_jobs_in)", "{{place}}"),
                    stacked=True,
                ),
            ),
            "Submitting": (
                lines(
                    "Time to answer POST /v1/jobs",
                    "s",
                    *share("holdfast_http_request_seconds", "", '{route="/v1/jobs",method="POST"}'),
                ),
                lines(
                    "Requests by status",
                    "reqps",
                    (f"sum by (status) (rate(holdfast_http_requests_total{RATE}))", "{{status}}"),
                ),
                lines(
                    "Jobs that share a commit",
                    "short",
                    (
                        f'sum(rate(holdfast_ledger_batch_items_sum{{statement="accept"}}{RATE})) / '
                        f'(sum(rate(holdfast_ledger_batch_items_count{{statement="accept"}}{RATE})) > 0)',
                        "jobs a commit",
                    ),
                ),
            ),
        },
    )
