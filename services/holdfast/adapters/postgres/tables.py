"""The schema, as SQLAlchemy metadata.

Migrations are checked against it (`alembic check` in the tests); the statements of `ledger` are written by hand.

Types: `json` where the text only passes through (it takes any JSON a client may send, NUL escapes included, and
costs no conversion), `jsonb` where it is searched.

Storage: `jobs` and `attempts` leave room on each page for the next versions of their rows (migration 0009). Those of an
attempt then need no index entry (heap-only tuples: its settlement changes no column of a b-tree). Those of a job do:
whoever looks for jobs that are queued, due or lost needs an index over what a claim and a settlement change.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, UUID

from holdfast.domain.endpoint import EndpointState
from holdfast.domain.job import JobState

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)
_time = DateTime(timezone=True)
TURNS = Sequence("jobs_turn_seq", metadata=metadata)
"""Numbers the jobs of lanes in the order of their acceptance."""
_endpoint_states = ", ".join(f"'{state}'" for state in EndpointState)
_states = ", ".join(f"'{state}'" for state in JobState)

jobs = Table(
    "jobs",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("attempt", Integer, nullable=False, server_default=text("1")),
    Column("spent_before", Integer, nullable=False, server_default=text("0")),
    Column("token", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", _time, nullable=False),
    Column("since", _time, nullable=False, server_default=text("now()")),
    Column("due_at", _time),
    Column("deadline", _time),
    Column("lease_until", _time),
    Column("started_at", _time),
    Column("finished_at", _time),
    Column("result", JSON),
    Column("failure", JSON),
    Column("tags", JSONB, nullable=False, server_default=text("'[]'")),
    Column("traceparent", Text),
    Column("callback_url", Text),
    Column("callback_secret", Text),
    Column("lane", Text),
    Column("turn", BigInteger),
    Column("parked_by", UUID),
    UniqueConstraint("tenant", "idempotency_key"),
    CheckConstraint(f"state IN ({_states})", name="state"),
    Index("jobs_due_ix", "due_at", postgresql_where=text("due_at IS NOT NULL AND state IN ('scheduled', 'waiting')")),
    Index("jobs_ticketed_ix", "since", postgresql_where=text("due_at IS NULL AND state IN ('queued', 'waiting')")),
    Index("jobs_leased_ix", "lease_until", postgresql_where=text("lease_until IS NOT NULL")),
    Index("jobs_lane_ix", "lane", "turn", postgresql_where=text("state = 'blocked'")),
    Index(
        "jobs_under_way_ix",
        "lane",
        unique=True,
        postgresql_where=text("lane IS NOT NULL AND state IN ('scheduled', 'queued', 'running', 'waiting')"),
    ),
    Index("jobs_parked_ix", "parked_by", "id", postgresql_where=text("parked_by IS NOT NULL AND state = 'waiting'")),
    Index("jobs_dead_ix", "id", postgresql_where=text("state = 'dead'")),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", UUID, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("worker", Text, nullable=False),
    Column("deliveries", Integer, nullable=False, server_default=text("1")),
    Column("started_at", _time, nullable=False),
    Column("finished_at", _time),
    Column("failure", JSON),
    Column("detail", JSON),
    Column("parked", Integer, nullable=False, server_default=text("0")),
    Index(
        "attempts_finished_ix",
        "finished_at",
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 16, "autosummarize": True},
    ),
)

outbox = Table(
    "outbox",
    metadata,
    Column("job_id", UUID, primary_key=True),
    Column("token", BigInteger, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("exchange", Text, nullable=False),
    Column("routing_key", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("created_at", _time, nullable=False, server_default=text("now()")),
    Index("outbox_created_at_ix", "created_at"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("job_id", UUID),
    Column("attempt", Integer),
    Column("tenant", Text),
    Column("kind", Text),
    Column("reason", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("died_at", _time, nullable=False),
    Column("replayed_at", _time),
    Column("dropped_at", _time),
    Column("dropped_by", Text),
    Column("drop_reason", Text),
    UniqueConstraint("job_id", "attempt"),
    Index("dead_letters_open_ix", "reason", "id", postgresql_where=text("replayed_at IS NULL AND dropped_at IS NULL")),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("created_at", _time, nullable=False),
    Column("since", _time, nullable=False),
    Column("secrets", JSONB, nullable=False),
    Column("description", Text, nullable=False),
    Column("event_types", ARRAY(Text), nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("why", Text),
    Column("failures", Integer, nullable=False),
    Column("failing_since", _time),
    Column("probes", Integer, nullable=False),
    Column("probe_at", _time),
    Column("version", Integer, nullable=False),
    CheckConstraint(f"state IN ({_endpoint_states})", name="state"),
    Index("endpoints_tenant_id_ix", "tenant", "id"),
    Index("endpoints_probe_at_ix", "probe_at", postgresql_where=text("state = 'failing'")),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("prefix", Text),
    Column("created_at", _time, nullable=False, server_default=text("now()")),
    Column("expires_at", _time),
    Column("last_used_at", _time),
    Column("revoked_at", _time),
)

audit = Table(
    "audit",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("at", _time, nullable=False, server_default=text("now()")),
    Column("tenant", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("key_id", UUID),
    Column("role", Text, nullable=False),
    Column("address", Text),
    Column("request_id", Text),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("reason", Text),
    Column("details", JSONB, nullable=False),
    Column("outcome", Text, nullable=False),
    CheckConstraint("outcome IN ('begun', 'done', 'failed')", name="outcome"),
    Index("audit_target_ix", "target", "id"),
)
