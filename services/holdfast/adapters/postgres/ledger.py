"""Jobs and attempts in PostgreSQL: the truth.

Every method is one statement, hence one transaction and one round trip. A claim locks its job's row first, so
two holders of one ticket are granted one after the other, never both; `token` grows with every grant, and a
statement that settles names the token it was granted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from holdfast.adapters.postgres import audit, rows
from holdfast.adapters.postgres.database import Database, Row
from holdfast.adapters.postgres.schema import check_version
from holdfast.domain.attempt import Ask, Attempt, Claim, Refusal, Ticket, refusal
from holdfast.domain.audit import AuditEntry
from holdfast.domain.dead_letter import Failure
from holdfast.domain.errors import StaleClaim
from holdfast.domain.job import CANCELLABLE, Job, JobState
from holdfast.domain.settlement import Settlement
from holdfast.domain.topology import JOBS
from holdfast.ports.ledger import JobQuery, Ledger

_cancellable = ", ".join(f"'{state}'" for state in sorted(CANCELLABLE))

_accepted = (
    "id, tenant, kind, queue, state, priority, payload, idempotency_key, fingerprint, created_at, due_at, deadline, "
    "tags, traceparent, callback_url, callback_secret, lane"
)

ACCEPT = f"""
WITH given AS MATERIALIZED (
  SELECT g.*, CASE WHEN lane IS NOT NULL THEN nextval('jobs_turn_seq') END AS turn FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::json[], $8::text[], $9::bytea[],
    $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::jsonb[], $14::text[], $15::text[], $16::text[],
    $17::text[]
  ) WITH ORDINALITY AS g({_accepted}, place)
), fresh AS (
  INSERT INTO jobs ({_accepted}, turn)
  SELECT {_accepted}, turn FROM given ORDER BY tenant, idempotency_key, place
  ON CONFLICT (tenant, idempotency_key) DO NOTHING
  RETURNING id, queue, state, priority
), tickets AS (
  INSERT INTO outbox (job_id, token, attempt, exchange, routing_key, priority)
  SELECT id, 0, 1, '{JOBS}', queue, priority FROM fresh WHERE state = 'queued'
)
SELECT id FROM fresh
"""

OWNERS = f"""
SELECT {rows.JOBS_COLUMNS} FROM jobs
JOIN unnest($1::text[], $2::text[]) AS k(tenant, key) ON jobs.tenant = k.tenant AND jobs.idempotency_key = k.key
"""

# The subselect hides the number of asks from the planner, which would plan every claim of one ask anew.
CLAIM = f"""
WITH asked AS (
  SELECT * FROM unnest((SELECT $1::uuid[]), $2::int[], $3::boolean[], $4::text[], $5::interval[])
    AS a(id, attempt, redelivered, worker, lease)
), target AS (
  SELECT jobs.id, jobs.state, jobs.attempt, jobs.lease_until FROM jobs JOIN asked USING (id)
  ORDER BY jobs.id FOR UPDATE OF jobs
), granted AS (
  UPDATE jobs SET state = 'running', since = now(), token = jobs.token + 1, lease_until = now() + asked.lease,
                  due_at = NULL, parked_by = NULL, started_at = coalesce(jobs.started_at, now())
  FROM target JOIN asked USING (id)
  WHERE jobs.id = target.id AND target.attempt = asked.attempt AND (
    target.state IN ('queued', 'waiting')
    OR target.state = 'running' AND (asked.redelivered OR target.lease_until < now())
  )
  RETURNING {rows.JOBS_COLUMNS}, jobs.token, jobs.lease_until, asked.worker
), logged AS (
  INSERT INTO attempts AS a (job_id, number, state, worker, started_at)
  SELECT id, attempt, 'running', worker, now() FROM granted
  ON CONFLICT (job_id, number) DO UPDATE
    SET state = 'running', worker = excluded.worker, deliveries = a.deliveries + 1, finished_at = NULL
)
SELECT target.id AS target_id, target.attempt AS target_attempt, target.state AS target_state, granted.*,
  (SELECT a.started_at FROM attempts a WHERE a.job_id = target.id AND a.number = target.attempt - 1 AND a.parked > 0)
    AS parked_since
FROM target LEFT JOIN granted ON granted.id = target.id
"""

FOLLOW_UP = f"""
, follow_up AS (
  INSERT INTO jobs ({rows.NEW_JOB_COLUMNS}, payload)
  SELECT {rows.NEW_JOB_COLUMNS}, follow_up_payload
  FROM (SELECT record.*, %s::json AS follow_up_payload FROM held, json_populate_record(NULL::jobs, %s::json) AS record)
  WHERE id IS NOT NULL
  ON CONFLICT (tenant, idempotency_key) DO NOTHING
  RETURNING id, queue, priority
), follow_up_ticket AS (
  INSERT INTO outbox (job_id, token, attempt, exchange, routing_key, priority)
  SELECT id, 0, 1, '{JOBS}', queue, priority FROM follow_up
)
"""

SETTLE = f"""
WITH ended AS (
  SELECT * FROM unnest(
    $1::uuid[], $2::bigint[], $3::text[], $4::int[], $5::json[], $6::json[], $7::interval[], $8::text[], $9::json[],
    $10::int[], $11::text[], $12::text[], $13::smallint[], $14::int[], $15::json[], $16::json[], $17::uuid[]
  ) AS e(id, token, state, next_attempt, result, failure, due_in, attempt_state, detail,
         attempt, exchange, routing_key, priority, unspent, follow_up, follow_up_payload, parked_by)
), target AS (
  SELECT jobs.id FROM jobs JOIN ended USING (id, token) WHERE jobs.state = 'running'
  ORDER BY jobs.id FOR UPDATE OF jobs
), held AS (
  UPDATE jobs SET state = ended.state, since = now(), attempt = next_attempt, result = ended.result,
                  failure = ended.failure, lease_until = NULL, due_at = now() + due_in, parked_by = ended.parked_by,
                  spent_before = spent_before + unspent,
                  started_at = CASE WHEN unspent > 0 AND jobs.attempt = spent_before + 1 THEN NULL ELSE started_at END,
                  finished_at = CASE WHEN ended.state IN ('succeeded', 'dead') THEN now() END
  FROM target JOIN ended USING (id)
  WHERE jobs.id = target.id AND jobs.token = ended.token AND jobs.state = 'running'
  RETURNING ended.*
), folded AS (
  DELETE FROM attempts USING held
  WHERE unspent > 0 AND attempts.job_id = held.id AND attempts.number = held.attempt - 1 AND attempts.parked > 0
  RETURNING attempts.job_id, attempts.parked, attempts.started_at
), logged AS (
  UPDATE attempts SET state = attempt_state, failure = held.failure, detail = held.detail, finished_at = now(),
                      parked = CASE WHEN unspent > 0 THEN 1 + coalesce(folded.parked, 0) ELSE 0 END,
                      started_at = CASE WHEN parked_by IS NULL
                        THEN coalesce(folded.started_at, attempts.started_at) ELSE attempts.started_at END
  FROM held LEFT JOIN folded ON folded.job_id = held.id
  WHERE attempts.job_id = held.id AND attempts.number = held.attempt
), ticket AS (
  INSERT INTO outbox (job_id, token, attempt, exchange, routing_key, priority)
  SELECT id, token, next_attempt, exchange, routing_key, priority FROM held WHERE exchange IS NOT NULL
) {FOLLOW_UP % ("held.follow_up_payload", "held.follow_up")}
SELECT id, token FROM held
"""

GIVE_BACK = """
WITH held AS (
  UPDATE jobs SET state = 'queued', since = now(), lease_until = NULL
  WHERE id = $1 AND token = $2 AND state = 'running' RETURNING id
), logged AS (
  UPDATE attempts SET state = 'returned', deliveries = deliveries - 1, finished_at = now()
  FROM held WHERE attempts.job_id = held.id AND attempts.number = $3
)
SELECT id FROM held
"""

BURY = f"""
WITH held AS (
  UPDATE jobs SET state = 'dead', since = now(), failure = $3::json, token = token + 1, lease_until = NULL,
                  due_at = NULL, parked_by = NULL, finished_at = now()
  WHERE id = $1 AND attempt = $2 AND state IN ('queued', 'waiting', 'running')
  RETURNING id
), logged AS (
  UPDATE attempts SET state = 'failed', failure = $3::json, finished_at = now()
  FROM held WHERE attempts.job_id = held.id AND attempts.number = $2
) {FOLLOW_UP % ("$5", "$4")}
SELECT id FROM held
"""

CANCEL = f"""
WITH target AS (
  SELECT {rows.JOB_COLUMNS} FROM jobs WHERE id = $1 AND ($2::text IS NULL OR tenant = $2) FOR UPDATE
), cancelled AS (
  UPDATE jobs SET state = 'cancelled', since = now(), finished_at = now(), due_at = NULL, lease_until = NULL,
                  parked_by = NULL, token = token + 1
  FROM target WHERE jobs.id = target.id AND target.state IN ({_cancellable})
  RETURNING {rows.JOBS_COLUMNS}
), logged AS (
  UPDATE attempts SET state = 'cancelled', finished_at = now()
  FROM cancelled WHERE attempts.job_id = cancelled.id AND attempts.number = cancelled.attempt
    AND attempts.state = 'running'
), unsent AS (
  DELETE FROM outbox USING cancelled WHERE outbox.job_id = cancelled.id
) {audit.audited("cancelled", "$3")}
SELECT * FROM cancelled UNION ALL SELECT * FROM target WHERE NOT EXISTS (SELECT FROM cancelled)
"""

HOLDING = """
SELECT jobs.id, jobs.token FROM jobs JOIN unnest($1::uuid[], $2::bigint[]) AS claims(id, token) USING (id, token)
WHERE jobs.state = 'running'
"""

LIST = f"""
SELECT {rows.JOB_COLUMNS} FROM jobs
WHERE tenant = $1 AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR kind = $3)
  AND ($4::text IS NULL OR tags @> to_jsonb($4::text)) AND ($5::uuid IS NULL OR id < $5)
ORDER BY id DESC LIMIT $6
"""


class PostgresLedger(Ledger):
    """Implements `ports.ledger.Ledger`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def accept(self, jobs: Sequence[Job]) -> list[Job]:
        """Take turns in the order of the jobs; insert in that of the keys, so that two batches which share keys cannot
        deadlock.
        """
        fresh = {row.id for row in await self._db.all(ACCEPT, *_columns(jobs))}
        if len(fresh) == len(jobs):
            return list(jobs)
        owners = await self._owners([(job.tenant, job.idempotency_key) for job in jobs if job.id not in fresh])
        return [job if job.id in fresh else owners[job.tenant, job.idempotency_key] for job in jobs]

    async def owners(self, keys: Sequence[tuple[str, str]]) -> list[Job | None]:
        """By the unique index."""
        found = await self._owners(keys)
        return list(map(found.get, keys))

    async def _owners(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Job]:
        tenants, names = [tenant for tenant, _ in keys], [key for _, key in keys]
        found = map(rows.to_job, await self._db.all(OWNERS, tenants, names))
        return {(job.tenant, job.idempotency_key): job for job in found}

    async def claim_all(self, asks: Sequence[Ask]) -> list[Claim | Refusal]:
        """Grant or refuse each under the lock of its job's row; locks are taken in the order of the ids."""
        answers: dict[int, Claim | Refusal] = {}
        for turn in _turns([ask.ticket.job_id for ask in asks]):
            found = await self._db.all(CLAIM, *zip(*(_ask_values(asks[index]) for index in turn), strict=True))
            by_id = {row["target_id"]: row for row in found}
            for index in turn:
                ticket = asks[index].ticket
                answers[index] = _answer(ticket, by_id.get(ticket.job_id))
        return [answers[index] for index in range(len(asks))]

    async def settle_all(self, outcomes: Sequence[tuple[Claim, Settlement]]) -> list[bool]:
        """Write each outcome under its claim's token."""
        written: dict[int, bool] = {}
        for turn in _turns([claim.job.id for claim, _ in outcomes]):
            values = map(_column, zip(*(_outcome_values(*outcomes[index]) for index in turn), strict=True))
            held = {(row["id"], row["token"]) for row in await self._db.all(SETTLE, *values)}
            for index in turn:
                claim = outcomes[index][0]
                written[index] = (claim.job.id, claim.token) in held
        return [written[index] for index in range(len(outcomes))]

    async def give_back(self, claim: Claim) -> None:
        """Make the attempt claimable again, as if it had not been."""
        if await self._db.one(GIVE_BACK, claim.job.id, claim.token, claim.attempt) is None:
            raise StaleClaim(claim.job.id, claim.attempt)

    async def lapsed(self, claims: Sequence[Claim]) -> list[Claim]:
        """Those that no row of a running job confirms."""
        ids, tokens = [claim.job.id for claim in claims], [claim.token for claim in claims]
        holding = {(row.id, row.token) for row in await self._db.all(HOLDING, ids, tokens)}
        return [claim for claim in claims if (claim.job.id, claim.token) not in holding]

    async def bury(self, job_id: UUID, attempt: int, failure: Failure, follow_up: Job | None = None) -> bool:
        """End the job unless it has moved past `attempt`."""
        told = rows.dump_new_job(follow_up)
        return await self._db.one(BURY, job_id, attempt, rows.dump_failure(failure), *told) is not None

    async def job(self, tenant: str, job_id: UUID) -> Job | None:
        """One job by its id."""
        row = await self._db.one(f"SELECT {rows.JOB_COLUMNS} FROM jobs WHERE id = $1 AND tenant = $2", job_id, tenant)
        return row and rows.to_job(row)

    async def any_job(self, job_id: UUID) -> Job | None:
        """One job by its id alone."""
        row = await self._db.one(f"SELECT {rows.JOB_COLUMNS} FROM jobs WHERE id = $1", job_id)
        return row and rows.to_job(row)

    async def jobs(self, query: JobQuery) -> list[Job]:
        """Newest first; the ids sort by time."""
        found = await self._db.all(
            LIST,
            query.tenant,
            query.state and query.state.value,
            query.kind,
            query.tag,
            query.before,
            query.limit,
        )
        return list(map(rows.to_job, found))

    async def attempts(self, job_id: UUID) -> list[Attempt]:
        """Oldest first."""
        found = await self._db.all("SELECT * FROM attempts WHERE job_id = $1 ORDER BY number", job_id)
        return list(map(rows.to_attempt, found))

    async def cancel(self, tenant: str | None, job_id: UUID, entry: AuditEntry | None = None) -> Job | None:
        """Cancel unless it has ended; its ticket, when it arrives, is refused as settled."""
        row = await self._db.one(CANCEL, job_id, tenant, audit.values(entry))
        return row and rows.to_job(row)

    async def ping(self) -> None:
        """Ask for the schema's version."""
        await check_version(self._db)


def _turns(ids: Sequence[UUID]) -> list[list[int]]:
    """The places in `ids`, in as few turns as it takes for no id to come twice in one: a statement sees a row once."""
    turns: list[list[int]] = []
    seen: Counter[UUID] = Counter()
    for index, job_id in enumerate(ids):
        if seen[job_id] == len(turns):
            turns.append([])
        turns[seen[job_id]].append(index)
        seen[job_id] += 1
    return turns


def _column(values: tuple[object, ...]) -> tuple[object, ...] | None:
    """An array, or NULL in place of one that has nothing else in it: half of those of a success.

    `unnest` fills it up, and the driver has nothing to write.
    """
    return None if values.count(None) == len(values) else values


def _ask_values(ask: Ask) -> tuple[object, ...]:
    return ask.ticket.job_id, ask.ticket.attempt, ask.ticket.redelivered, ask.worker, ask.lease


def _answer(ticket: Ticket, row: Row | None) -> Claim | Refusal:
    if row is None:
        return Refusal.UNKNOWN
    if row["id"] is not None:
        return Claim(rows.to_job(row), row["attempt"], row["token"], row["lease_until"], row["parked_since"])
    return refusal(JobState(row["target_state"]), row["target_attempt"], ticket)


def _outcome_values(claim: Claim, settlement: Settlement) -> tuple[object, ...]:
    """In the order of SETTLE's parameters."""
    ticket = settlement.envelope
    return (
        claim.job.id,
        claim.token,
        settlement.job_state.value,
        settlement.next_attempt,
        rows.dump(settlement.result),
        rows.dump_failure(settlement.failure),
        settlement.due_in,
        settlement.attempt_state.value,
        rows.dump(settlement.detail),
        claim.attempt,
        ticket and ticket.route.exchange,
        ticket and ticket.route.routing_key,
        ticket and ticket.priority,
        settlement.unspent,
        *rows.dump_new_job(settlement.follow_up),
        settlement.parked_by,
    )


def _columns(jobs: Sequence[Job]) -> tuple[list[object], ...]:
    """The jobs as one array a column, in the order of ACCEPT's parameters."""
    return (
        [job.id for job in jobs],
        [job.tenant for job in jobs],
        [job.kind for job in jobs],
        [job.queue for job in jobs],
        [job.state.value for job in jobs],
        [job.priority for job in jobs],
        [rows.dump(job.payload) for job in jobs],
        [job.idempotency_key for job in jobs],
        [job.fingerprint for job in jobs],
        [job.created_at for job in jobs],
        [job.due_at for job in jobs],
        [job.deadline for job in jobs],
        [rows.dump(job.tags) for job in jobs],
        [job.traceparent for job in jobs],
        [job.callback_url for job in jobs],
        [job.callback_secret for job in jobs],
        [job.lane for job in jobs],
    )
