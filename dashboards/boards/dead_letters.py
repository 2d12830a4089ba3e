"""What died, why, and whether anybody looks after it."""

from __future__ import annotations

from panels import board, lines, number

RATE = "[$__rate_interval]"


def build() -> object:
    """The dashboard."""
    return board(
        "dead-letters",
        "Holdfast: dead letters",
        {
            "Now": (
                number("Open", "short", "sum(holdfast_dead_letters)", bad_above=0.5),
                number(
                    "Filed in ten minutes",
                    "short",
                    "sum(increase(holdfast_dead_letters_filed_total[10m]))",
                    bad_above=10,
                ),
                number("Oldest open", "s", "max(holdfast_dead_letters_oldest_seconds)", bad_above=86400),
                number(
                    "In RabbitMQ, not filed",
                    "short",
                    'sum(holdfast_queue_messages{queue="holdfast.dead"})',
                    bad_above=0.5,
                ),
            ),
            "Over time": (
                lines(
                    "Open, by reason", "short", ("sum by (reason) (holdfast_dead_letters)", "{{reason}}"), stacked=True
                ),
                lines(
                    "Filed, by reason",
                    "ops",
                    (f"sum by (reason) (rate(holdfast_dead_letters_filed_total{RATE}))", "{{reason}}"),
                ),
                lines(
                    "Replayed and dropped",
                    "ops",
                    (f"sum by (end) (rate(holdfast_dead_letters_settled_total{RATE}))", "{{end}}"),
                ),
            ),
            "Where they come from": (
                lines(
                    "Jobs that died, by kind",
                    "ops",
                    (
                        f'sum by (kind) (rate(holdfast_jobs_ended_total{{outcome!~"succeeded|cancelled"}}{RATE}))',
                        "{{kind}}",
                    ),
                ),
                lines(
                    "Dead-lettered by RabbitMQ, by cause",
                    "ops",
                    (f"sum(rate(rabbitmq_global_messages_dead_lettered_rejected_total{RATE}))", "rejected by a worker"),
                    (f"sum(rate(rabbitmq_global_messages_dead_lettered_delivery_limit_total{RATE}))", "delivery limit"),
                    (
                        f"sum(rate(rabbitmq_global_messages_dead_lettered_expired_total{RATE}))",
                        "expired: home from a retry",
                    ),
                    text="Expiry is how a message comes home from its retry queue, and no sign of trouble.",
                ),
            ),
        },
    )
