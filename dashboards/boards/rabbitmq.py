"""RabbitMQ as Holdfast uses it; its own dashboards go deeper (https://grafana.com/orgs/rabbitmq)."""

from __future__ import annotations

from panels import board, lines, number, share

RATE = "[$__rate_interval]"
OURS = '{queue=~"holdfast.*"}'
WORK = '{queue=~"holdfast.(image|pdf|webhook|custom)"}'


def _by_queue(state: str) -> str:
    """The queues that hold something, or the sum of nothing."""
    metric = f"rabbitmq_detailed_queue_messages_{state}{OURS}"
    return f"sum by (queue) ({metric}) > 0 or sum({metric})"


def build() -> object:
    """The dashboard."""
    return board(
        "rabbitmq",
        "Holdfast: RabbitMQ",
        {
            "Now": (
                number("Nodes that answer", "short", 'sum(up{job="rabbitmq"})'),
                number(
                    "Alarms",
                    "short",
                    'sum({__name__=~"rabbitmq_alarms_(memory_used|free_disk_space)_watermark"})',
                    bad_above=0.5,
                ),
                number(
                    "Memory, of its limit",
                    "percentunit",
                    "max(rabbitmq_process_resident_memory_bytes / rabbitmq_resident_memory_limit_bytes)",
                    bad_above=0.8,
                ),
                number("Free disk", "bytes", "min(rabbitmq_disk_space_available_bytes)"),
            ),
            "Queues": (
                lines(
                    "Ready, by queue",
                    "short",
                    (
                        _by_queue("ready"),
                        "{{queue}}",
                    ),
                ),
                lines(
                    "At consumers, not acknowledged",
                    "short",
                    (
                        _by_queue("unacked"),
                        "{{queue}}",
                    ),
                ),
                lines(
                    "Consumers",
                    "short",
                    (
                        f"sum by (queue) (rabbitmq_detailed_queue_consumers{WORK})",
                        "{{queue}}",
                    ),
                ),
            ),
            "Messages": (
                lines(
                    "Through the node",
                    "ops",
                    (f"sum(rate(rabbitmq_global_messages_received_total{RATE}))", "published"),
                    (f"sum(rate(rabbitmq_global_messages_confirmed_total{RATE}))", "confirmed"),
                    (f"sum(rate(rabbitmq_global_messages_delivered_total{RATE}))", "delivered"),
                    (f"sum(rate(rabbitmq_global_messages_acknowledged_total{RATE}))", "acknowledged"),
                    (f"sum(rate(rabbitmq_global_messages_redelivered_total{RATE}))", "redelivered"),
                ),
                lines(
                    "Holdfast's publishers, by result",
                    "ops",
                    (f"sum by (result) (rate(holdfast_publisher_messages_total{RATE}))", "{{result}}"),
                ),
                lines("Published to confirmed", "s", *share("holdfast_publisher_confirm_seconds", "")),
            ),
            "The node": (
                lines(
                    "Memory",
                    "bytes",
                    ("rabbitmq_process_resident_memory_bytes", "used"),
                    ("rabbitmq_resident_memory_limit_bytes", "limit"),
                ),
                lines(
                    "Connections and channels",
                    "short",
                    ("sum(rabbitmq_connections)", "connections"),
                    ("sum(rabbitmq_channels)", "channels"),
                ),
                lines(
                    "Messages that no queue took",
                    "ops",
                    (f"sum(rate(rabbitmq_global_messages_unroutable_returned_total{RATE}))", "returned"),
                    (f"sum(rate(rabbitmq_global_messages_unroutable_dropped_total{RATE}))", "dropped"),
                ),
            ),
        },
    )
