"""For each alert one story in which it fires and one, as near to it as can be, in which it must not.

Told in promtool's notation: a value a minute, `a+bxN` for a, a+b, … N times, `_` for no sample.
Source: https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

READY = 'holdfast_queue_messages{queue="holdfast.webhook",state="ready",job="api",instance="api:8000"}'
CONSUMERS = 'holdfast_queue_consumers{queue="webhook",job="api",instance="api:8000"}'
FILED = 'holdfast_dead_letters_filed_total{reason="exhausted"}'
OPEN = 'holdfast_dead_letters{reason="exhausted"}'
SOON = 'holdfast_job_queue_wait_seconds_bucket{kind="webhook.dispatch",le="30.0"}'
WAITED = 'holdfast_job_queue_wait_seconds_count{kind="webhook.dispatch"}'
FAILED = 'holdfast_http_requests_total{route="/v1/jobs",method="POST",status="5xx"}'
ANSWERED = 'holdfast_http_requests_total{route="/v1/jobs",method="POST",status="2xx"}'
STARTED = 'holdfast_worker_processes_started_total{instance="worker-render:9000",job="worker"}'
BORN = 'process_start_time_seconds{instance="worker-webhook:9000",job="worker"}'
REFUSED = 'holdfast_jobs_refused_total{kind="pdf.render",reason="%s"}'

Series = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Story:
    """What Prometheus scraped, and the minute at which to look."""

    fires: Series
    silent: Series
    minute: int


STORIES: Mapping[str, Story] = {
    # Sixteen jobs die within ten minutes; or they did, and have been replayed.
    "DeadLettersGrowing": Story(
        {FILED: "0+2x8 16x8", OPEN: "0+2x8 16x8"}, {FILED: "0+2x8 16x8", OPEN: "0+2x8 0x8"}, 10
    ),
    # A message stays in the dead queue; or each one is soon gone.
    "DeadLettersNotArchived": Story(
        {'holdfast_queue_messages{queue="holdfast.dead",state="ready"}': "3x10"},
        {'holdfast_queue_messages{queue="holdfast.dead",state="ready"}': "3 0 3 0 3 0 3 0 3 0 3"},
        8,
    ),
    "DeadLettersForgotten": Story(
        {"holdfast_dead_letters_oldest_seconds": "90000+60x20"},
        {"holdfast_dead_letters_oldest_seconds": "80000+60x20"},
        15,
    ),
    # A backlog grows beside a worker that is up; or it shrinks.
    "QueueGrowing": Story({READY: "200+50x40", CONSUMERS: "1x40"}, {READY: "2200-50x40", CONSUMERS: "1x40"}, 30),
    # A fifth of the attempts wait too long; or one in two hundred does.
    "QueueWaitBudgetBurningFast": Story(
        {SOON: "0+80x90", WAITED: "0+100x90"}, {SOON: "0+199x90", WAITED: "0+200x90"}, 80
    ),
    "QueueWaitBudgetBurning": Story(
        {SOON: "0+90x500", WAITED: "0+100x500"}, {SOON: "0+199x500", WAITED: "0+200x500"}, 450
    ),
    # Messages and nobody to take them; or nobody, and nothing to take.
    "NoConsumers": Story({READY: "5x10", CONSUMERS: "0x10"}, {READY: "0x10", CONSUMERS: "0x10"}, 5),
    # Children die again and again, while another worker is replaced once.
    "WorkerCrashLoop": Story(
        {STARTED: "2x10 3+1x20", BORN: "100x30"}, {STARTED: "2x10 8x20", BORN: "100x10 700x20"}, 25
    ),
    "LeasesLapsed": Story(
        {'holdfast_jobs_in{place="rescue"}': "4x10"}, {'holdfast_jobs_in{place="rescue"}': "4 0 4 0 0 0 0 0 0 0"}, 8
    ),
    "WorkerDown": Story(
        {'up{job="worker",instance="w:9000"}': "1 0x9"}, {'up{job="worker",instance="w:9000"}': "1 0 1x8"}, 6
    ),
    # Two in a hundred requests fail; or one in a thousand.
    "ApiErrorBudgetBurningFast": Story(
        {FAILED: "0+2x90", ANSWERED: "0+98x90"}, {FAILED: "0+1x90", ANSWERED: "0+999x90"}, 80
    ),
    "ApiErrorBudgetBurning": Story(
        {FAILED: "0+1x500", ANSWERED: "0+99x500"}, {FAILED: "0+1x500", ANSWERED: "0+999x500"}, 450
    ),
    "ApiDown": Story({'up{job="api",instance="api:8000"}': "1 0x9"}, {'up{job="api",instance="api:8000"}': "1x9"}, 5),
    "BreakerOpenTooLong": Story(
        {'holdfast_breaker_not_closed_seconds{downstream="webhook"}': "0+60x40"},
        {'holdfast_breaker_not_closed_seconds{downstream="webhook"}': "0+60x20 0+60x20"},
        35,
    ),
    "OutboxLagging": Story(
        {"holdfast_outbox_oldest_seconds": "10+60x9"}, {"holdfast_outbox_oldest_seconds": "25x9"}, 6
    ),
    "JobsUnaccounted": Story(
        {'holdfast_jobs_unaccounted{queue="pdf"}': "3x9"},
        {'holdfast_jobs_unaccounted{queue="pdf"}': "0 3 0 0 0 0 0 0 0"},
        6,
    ),
    # The leader went and nobody followed; or somebody did.
    "StewardMissing": Story(
        {'holdfast_steward_leading{instance="a"}': "1 1 0x9", 'holdfast_steward_leading{instance="b"}': "0x9"},
        {'holdfast_steward_leading{instance="a"}': "1 1 0x9", 'holdfast_steward_leading{instance="b"}': "0 0 1x9"},
        8,
    ),
    "StewardFailing": Story(
        {'holdfast_steward_loop_failures_total{loop="archive"}': "0+2x20"},
        {'holdfast_steward_loop_failures_total{loop="archive"}': "0 2x20"},
        15,
    ),
    "PostgresUnavailable": Story(
        {REFUSED % "ledger_unavailable": "0 0 5+5x9"},
        {REFUSED % "invalid": "0 0 5+5x9", REFUSED % "ledger_unavailable": "0x9"},
        6,
    ),
    "RedisUnavailable": Story(
        {"holdfast_redis_unavailable_total": "0+3x9"}, {"holdfast_redis_unavailable_total": "7x9"}, 6
    ),
    "BrokerAlarm": Story(
        {'rabbitmq_alarms_memory_used_watermark{instance="r:15692"}': "0 0 1x9"},
        {
            'rabbitmq_alarms_memory_used_watermark{instance="r:15692"}': "0x9",
            'rabbitmq_alarms_free_disk_space_watermark{instance="r:15692"}': "0x9",
        },
        6,
    ),
    "BrokerDown": Story(
        {'up{job="rabbitmq",instance="r:15692"}': "1 0x9"}, {'up{job="rabbitmq",instance="r:15692"}': "1x9"}, 5
    ),
}
