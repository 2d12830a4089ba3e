"""Every alert: what is true when it fires, for how long, and what the person who is woken reads first.

Invariants. An expression yields series only while something is wrong, with values that are never negative, so that
Prometheus (a series fires) and Grafana (a value above -1 fires) mean the same. Each alert has a story in which it
fires and one in which it stays silent (`stories.py`), and a runbook of its own name (`runbooks/`).

`page` wakes somebody; `ticket` waits for the morning.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from recording import API_BUDGET, WAIT_BUDGET

RUNBOOKS = "https://github.com/holdfast-jobs/holdfast/blob/main/runbooks"
WORK = "holdfast\\\\.(image|pdf|webhook|custom)"


class Severity(StrEnum):
    """How soon somebody must look."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `lasting` is how long the expression must hold (a Prometheus duration)."""

    name: str
    expr: str
    lasting: str
    severity: Severity
    summary: str
    """One line, with `{{ $value }}` and `{{ $labels.… }}` where they help."""
    impact: str
    """What it means for jobs."""

    @property
    def runbook_url(self) -> str:
        """The page to open."""
        return f"{RUNBOOKS}/{self.name}.md"


def _burn(name: str, budget: float, long: str, short: str, factor: float) -> str:
    """A budget that burns `factor` times too fast, both over the long window and at present.

    Source: Google, The Site Reliability Workbook, chapter 5: multiwindow, multi-burn-rate alerts.
    """
    limit = f"{factor * budget:.6g}"
    return f"{name}_rate{long} > {limit} and {name}_rate{short} > {limit}"


PAGE, TICKET = Severity.PAGE, Severity.TICKET

ALERTS: tuple[Alert, ...] = (
    # -- dead letters
    Alert(
        "DeadLettersGrowing",
        "sum(increase(holdfast_dead_letters_filed_total[10m])) > 10 and on () sum(holdfast_dead_letters) > 10",
        "0s",
        PAGE,
        'About {{ $value | printf "%.0f" }} jobs died in ten minutes, and are not replayed or dropped',
        "Jobs end in the dead letters instead of succeeding. None is lost: they can be replayed once it is mended.",
    ),
    Alert(
        "DeadLettersNotArchived",
        'holdfast_queue_messages{queue="holdfast.dead",state="ready"} > 0',
        "5m",
        PAGE,
        "{{ $value }} dead messages wait in RabbitMQ and are not filed",
        "Dead jobs cannot be seen or replayed, and their messages take up the broker.",
    ),
    Alert(
        "DeadLettersForgotten",
        "holdfast_dead_letters_oldest_seconds > 86400",
        "10m",
        TICKET,
        "The oldest open dead letter is {{ $value | humanizeDuration }} old",
        "Somebody's job has not been done, and nobody has decided what becomes of it.",
    ),
    # -- queues
    Alert(
        "QueueGrowing",
        f'holdfast_queue_messages{{queue=~"{WORK}",state="ready"}} > 100'
        f' and deriv(holdfast_queue_messages{{queue=~"{WORK}",state="ready"}}[10m]) > 0'
        ' and on (queue) label_replace(holdfast_queue_consumers > 0, "queue", "holdfast.$1", "queue", "(.+)")',
        "10m",
        TICKET,
        "{{ $labels.queue }} has {{ $value }} messages and grows though its workers are up",
        "Jobs wait longer and longer. Low priorities wait longest, and are refused when the wait passes its limit.",
    ),
    Alert(
        "QueueWaitBudgetBurningFast",
        _burn("holdfast:queue_wait_slow:ratio", WAIT_BUDGET, "1h", "5m", 14.4),
        "2m",
        PAGE,
        "{{ $value | humanizePercentage }} of attempts waited longer than 30 s within the hour",
        "Two days of the month's budget of late starts are gone in an hour.",
    ),
    Alert(
        "QueueWaitBudgetBurning",
        _burn("holdfast:queue_wait_slow:ratio", WAIT_BUDGET, "6h", "30m", 6),
        "15m",
        TICKET,
        "{{ $value | humanizePercentage }} of attempts waited longer than 30 s within six hours",
        "The month's budget of late starts will be gone in five days.",
    ),
    Alert(
        "NoConsumers",
        'label_replace(holdfast_queue_consumers == 0, "queue", "holdfast.$1", "queue", "(.+)")'
        f' and on (queue) holdfast_queue_messages{{queue=~"{WORK}",state="ready"}} > 0',
        "2m",
        PAGE,
        "{{ $labels.queue }} has messages and no consumer",
        "No job of this queue runs.",
    ),
    # -- workers
    Alert(
        "WorkerCrashLoop",
        "holdfast_worker_processes_started_total - holdfast_worker_processes_started_total offset 10m > 5"
        ' or changes(process_start_time_seconds{job="worker"}[10m]) > 2',
        "0s",
        PAGE,
        '{{ $labels.instance }} started {{ $value | printf "%.0f" }} processes too many in ten minutes',
        "A job that crashes its worker takes the jobs beside it along; after six crashes it is dead as `poisoned`.",
    ),
    Alert(
        "LeasesLapsed",
        'holdfast_jobs_in{place="rescue"} > 0',
        "5m",
        TICKET,
        "{{ $value }} running jobs have lost their worker and are not taken over",
        "These jobs stand still until the steward gives them a new ticket.",
    ),
    Alert(
        "WorkerDown",
        'up{job="worker"} == 0',
        "2m",
        PAGE,
        "{{ $labels.instance }} does not answer",
        "Its jobs are taken over by others of its service, if there are any.",
    ),
    # -- the api
    Alert(
        "ApiErrorBudgetBurningFast",
        _burn("holdfast:api_errors:ratio", API_BUDGET, "1h", "5m", 14.4),
        "2m",
        PAGE,
        "{{ $value | humanizePercentage }} of requests failed with 5xx within the hour",
        "Callers cannot submit; they get 503 and may retry with the same key.",
    ),
    Alert(
        "ApiErrorBudgetBurning",
        _burn("holdfast:api_errors:ratio", API_BUDGET, "6h", "30m", 6),
        "15m",
        TICKET,
        "{{ $value | humanizePercentage }} of requests failed with 5xx within six hours",
        "The month's budget of failed requests will be gone in five days.",
    ),
    Alert(
        "ApiDown",
        'up{job="api"} == 0',
        "1m",
        PAGE,
        "{{ $labels.instance }} does not answer",
        "With no other api process nothing is accepted; with the steward in it, nothing is promoted or archived.",
    ),
    # -- downstreams
    Alert(
        "BreakerOpenTooLong",
        "holdfast_breaker_not_closed_seconds > 1800",
        "0s",
        TICKET,
        "A breaker of {{ $labels.downstream }} has not been closed for {{ $value | humanizeDuration }}",
        "Jobs for this destination are parked: they spend no attempt, but they are not done, and deadlines hold.",
    ),
    # -- the ledger and the way out of it
    Alert(
        "OutboxLagging",
        "holdfast_outbox_oldest_seconds > 30",
        "1m",
        PAGE,
        "A committed ticket has waited {{ $value | humanizeDuration }} for RabbitMQ",
        "Accepted jobs do not start. None is lost; past HOLDFAST_OUTBOX_LIMIT new ones are refused.",
    ),
    Alert(
        "JobsUnaccounted",
        "sum(holdfast_jobs_unaccounted) > 0",
        "2m",
        PAGE,
        "{{ $value }} jobs have a ticket that is nowhere",
        "Messages were lost from the broker. The steward writes new tickets; if this stays, it does not get through.",
    ),
    Alert(
        "StewardMissing",
        "(sum(holdfast_steward_leading) or vector(0)) < 1",
        "1m",
        PAGE,
        "No process leads as steward",
        "Delayed jobs do not start, lost workers' jobs are not rescued, dead letters stay in RabbitMQ.",
    ),
    Alert(
        "StewardFailing",
        "sum by (loop) (increase(holdfast_steward_loop_failures_total[5m])) > 3",
        "5m",
        TICKET,
        "The steward's loop {{ $labels.loop }} fails",
        "What this loop does is not done.",
    ),
    Alert(
        "PostgresUnavailable",
        'sum(increase(holdfast_jobs_refused_total{reason="ledger_unavailable"}[2m])) > 0',
        "1m",
        PAGE,
        'PostgreSQL does not answer: {{ $value | printf "%.0f" }} jobs were refused in two minutes',
        "Nothing is accepted, and finished work cannot be written down.",
    ),
    Alert(
        "RedisUnavailable",
        "sum(increase(holdfast_redis_unavailable_total[2m])) > 0",
        "2m",
        TICKET,
        "Redis does not answer",
        "Breakers, limits and the idempotency gate fall back to each process; every promise still holds.",
    ),
    # -- the broker
    Alert(
        "BrokerAlarm",
        'max by (instance) ({__name__=~"rabbitmq_alarms_(memory_used|free_disk_space)_watermark"}) > 0',
        "30s",
        PAGE,
        "RabbitMQ on {{ $labels.instance }} has a memory or disk alarm",
        "It takes no messages: accepted jobs wait in the outbox and do not start.",
    ),
    Alert(
        "BrokerDown",
        'up{job="rabbitmq"} == 0',
        "1m",
        PAGE,
        "RabbitMQ on {{ $labels.instance }} does not answer Prometheus",
        "With no other node jobs are accepted into the outbox and do not start.",
    ),
)
