"""Every setting of every Holdfast process, read once from `HOLDFAST_*` environment variables, then frozen."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from holdfast.domain.bucket import Rate
from holdfast.domain.downstream_policy import Policies
from holdfast.ports.limits import Limits

OFF = "off"


def _rate(value: Any) -> Rate | None:
    if value is None or isinstance(value, Rate):
        return value
    return None if str(value).strip().lower() == OFF else Rate.parse(str(value))


RateLimit = Annotated[
    Rate | None, NoDecode, PlainValidator(_rate), PlainSerializer(lambda rate: str(rate) if rate else OFF)
]
"""A rate as text; None is `off`."""


class Settings(BaseSettings):
    """Times are in seconds, sizes in bytes. Nested limits are set as `HOLDFAST_LIMITS__IMAGE_PIXELS=…`."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_", env_nested_delimiter="__", frozen=True, extra="ignore")

    environment: Literal["development", "production"] = "development"
    """Production answers no request without an API key, and refuses to start without secrets of its own."""

    # The dependencies. The defaults are the services' standard ports, as Compose names them on a laptop.
    postgres_url: SecretStr = SecretStr("postgresql+asyncpg://holdfast:holdfast@127.0.0.1:5432/holdfast")
    postgres_pool: int = 8
    """Connections a process may hold. Group commit keeps the api busy with very few."""
    postgres_timeout: float = 10.0
    """Longest single statement; past it the ledger counts as unavailable."""
    rabbitmq_url: SecretStr = SecretStr("amqp://holdfast:holdfast@127.0.0.1:5672/")
    rabbitmq_management_url: SecretStr = SecretStr("http://holdfast:holdfast@127.0.0.1:15672")
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    redis_timeout: float = 0.5
    """Longest Redis command. Redis only accelerates here, so giving up early is better than waiting."""

    # Submitting
    max_body_bytes: int = 1024 * 1024
    """Largest request body of `POST /v1/jobs`; 413 past it. Batches may have sixteen times as much."""
    gate_hold: float = 15.0
    """How long a key counts as in flight when its process died before it answered."""
    gate_memory: float = 48 * 3600.0
    """How long Redis remembers an answered key. The ledger remembers for as long as the job is kept."""
    publish_timeout: float = 5.0
    """Longest wait for a confirm. The outbox row stays until one arrives, so nothing is lost past it."""
    outbox_limit: int = Field(default=100_000, ge=1)
    """Messages that may wait for a RabbitMQ that is away; past it new jobs are refused with 503. Counted once a
    second, so each api process may exceed it by what it accepts within one."""
    backlog_wait: float = Field(default=3600.0, gt=0)
    """Longest wait in a work queue, by its length and how fast it has been worked off lately, at which jobs of priority
    `high` are still accepted; `default` up to three quarters of it, `low` up to half. 503 past it."""
    backlog_jobs: int = Field(default=200_000, ge=1)
    """The same by the number of jobs that wait, whatever the rate is."""
    publish_window: int = 500
    """Messages on the way to the broker without a confirm, per process (measured best between 100 and 1,000)."""

    # Rate limits. Jobs by the second, minute or hour, and how many may come at once.
    rate_limit_key: RateLimit = Rate(1000, 10_000)
    """What each API key may submit: `1000/s burst 10000`, `600/m`, `10/h`, or `off`. Without a burst it is what one
    second brings. A batch counts as many jobs as it has; a repeated Idempotency-Key counts again."""
    rate_limit_tenant: RateLimit = Rate(2000, 20_000)
    """What each tenant may submit, with all its keys together."""
    rate_limit_overrides: dict[str, RateLimit] = {}
    """Those of single tenants and keys, as JSON: `{"tenant:acme": "5000/s burst 50000", "key:nightly": "off"}`."""

    # Running
    worker_concurrency_render: int = Field(default=2, ge=1)
    """Processes of worker-render: one per core is right for CPU-bound work."""
    worker_concurrency_webhook: int = Field(default=100, ge=1)
    """Deliveries that one worker-webhook has under way."""
    worker_grace: float = 25.0
    """How long a stopping worker lets running jobs finish before it gives them back. Keep below the stop grace
    period of Compose (30 s) and of ECS (120 s at most)."""
    worker_loop_patience: float = Field(default=30.0, gt=0)
    """How long a handler may block the event loop of its process before the process is ended. A handler that computes
    for longer belongs in an isolated child."""
    worker_ready_file: Path | None = None
    """Touched when the worker consumes, removed when it stops: the health check of a process without a port."""
    lease_margin: float = 30.0
    """A claim's lease is the time limit of its kind plus this."""
    limits: Limits = Limits()
    chromium: str = ""
    """Path or name of Chromium, the second PDF engine. Set it for the render workers, whose image must have it, and for
    the api, which takes jobs for it only then. Empty: there is none."""

    # Downstreams
    downstreams: dict[str, dict[str, Any]] = {}
    """Breakers and limits by name or family, as JSON: `{"webhook:api.example.com": {"concurrency": 5}}`. What can be
    set is listed [below](#downstream-policies)."""
    downstream_share: float = Field(default=0.5, gt=0, le=1)
    """Largest share of a worker's slots that calls to one destination may hold, so that one that hangs leaves the rest
    to the others."""

    # Results and secrets
    artifacts_url: str = "file://.holdfast/artifacts"
    """`file://…` or `s3://bucket/prefix`."""
    artifact_url_lifetime: float = 900.0
    """How long a signed download link works."""
    signing_key: SecretStr = SecretStr("development-only-signing-key")
    """Signs download links. Must be set in production."""

    encryption_keys: tuple[SecretStr, ...] = ()
    """What secrets are encrypted with at rest, as JSON, newest first: `["…"]`. Must be set in production, the same for
    every process. `holdfast secrets new-key` makes one, `holdfast secrets reseal` moves the ledger to the newest."""

    # Webhook endpoints
    endpoint_failures: int = Field(default=20, ge=1)
    """Attempts in a row that must have failed before an endpoint is disabled,"""
    endpoint_failing_for: float = Field(default=3600.0, ge=0)
    """and how long ago the last success must be. Both must be reached."""
    endpoint_probe_after: float = Field(default=60.0, gt=0)
    """Wait before an endpoint that was disabled for failing is probed; each further wait is twice as long, up to an
    hour."""
    endpoint_ramp: int = Field(default=10, ge=1)
    """Parked jobs that an endpoint gets in the second in which it is enabled again; twice as many in the next second,
    three times as many in the third, and so on."""

    # Egress
    egress_allow: tuple[str, ...] = ()
    """Networks (CIDR) that the egress guard opens besides the public internet, as JSON: `["127.0.0.1/32"]`."""

    # The api
    api_host: str = "127.0.0.1"
    api_port: int = 8000
    api_processes: int = Field(default=1, ge=1, le=64)
    """Processes that share the api's port, on a machine with cores to spare. With more than one the steward runs by
    itself (`holdfast steward`, HOLDFAST_STEWARD_IN_API=false)."""
    api_origins: tuple[str, ...] = ()
    """Origins of other web pages that may call the api from a browser, as JSON: `["https://console.example.com"]`."""
    api_tls: bool = False
    """Whether clients reach the api over TLS (a proxy in front of it ends it): answers then tell browsers to stay with
    it (HSTS)."""
    api_url: str = "http://127.0.0.1:8000"
    """Where the CLI and the client find the api."""
    api_key: SecretStr | None = None
    """The key that the CLI sends."""
    shed_load: bool = True
    """Whether an api process refuses submits (503) that it could not answer in good time. Off only to compare."""
    steward_in_api: bool = True
    """Whether api processes stand for election as steward."""
    migrate_on_start: bool = False
    """Whether the api migrates the ledger (`holdfast db upgrade`) before it serves. Meant for one machine: where an
    older version still runs, migrate before anything is replaced."""

    # The steward
    relay_after: float = 3.0
    """Age at which an outbox row counts as forgotten by the process that wrote it."""
    rescue_after: float = 30.0
    """How long past its lease a running job waits for the broker's own redelivery before it gets a new ticket."""
    conserve_every: float = 10.0
    """How often the ledger's jobs are compared with the broker's messages. A loss counts at the third look that finds
    it."""
    retain_succeeded_days: float = 7.0
    """How long succeeded and cancelled jobs are kept, with their artifacts and their keys. At least 1."""
    retain_dead_days: float = 30.0
    """How long dead jobs, and dead letters that were replayed or dropped, are kept, and uploads. Open dead letters are
    kept for as long as they are open. At least 1."""

    faults: Path | None = None
    """Folder in which tests arm faults (see `holdfast.adapters.faults`). Of no effect in production."""

    # Telemetry
    metrics_host: str = "127.0.0.1"
    """Address on which workers and a lone steward serve `/metrics`, `/healthz` and `/readyz`."""
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    """Port for that; not set: none is served. The api serves them on its own port."""
    cloudwatch_namespace: str = ""
    """Where the steward puts the metric `Backlog` of each worker service, by lines on standard output that CloudWatch
    reads as metrics (its embedded metric format); empty: there are none. Workers on AWS are scaled by it."""
    log_level: str = "INFO"
    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto` is console on a terminal and JSON elsewhere."""

    @field_validator("retain_succeeded_days", "retain_dead_days")
    @classmethod
    def _keep_keys(cls, days: float) -> float:
        if not days >= 1:
            raise ValueError(
                "must be at least 1 (day): an idempotency key is promised to name its job for 24 hours, "
                "and it is forgotten with the job"
            )
        return days

    @field_validator("downstreams")
    @classmethod
    def _known_policies(cls, given: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        Policies(given)
        return given

    @cached_property
    def production(self) -> bool:
        """Whether this process runs in production."""
        return self.environment == "production"
