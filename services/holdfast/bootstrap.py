"""Where the adapters meet the engine: one function for each kind of process, and nothing else.

Everything that has to be closed is closed by the runtime that made it, in the reverse order of its making.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from urllib.parse import unquote, urlsplit

import structlog

from holdfast.adapters.artifacts import ObstoreArtifacts
from holdfast.adapters.chromium.browser import ChromiumBrowser
from holdfast.adapters.ecs.protection import EcsProtection
from holdfast.adapters.egress import AiohttpEgress
from holdfast.adapters.faults import FolderFaults
from holdfast.adapters.isolation.pool import SubprocessIsolation
from holdfast.adapters.memory.breakers import MemoryBreakers
from holdfast.adapters.postgres.audit import PostgresAudit
from holdfast.adapters.postgres.census import PostgresCensus
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.dead_letters import PostgresDeadLetters
from holdfast.adapters.postgres.endpoints import PostgresEndpoints
from holdfast.adapters.postgres.job_secrets import PostgresJobSecrets
from holdfast.adapters.postgres.keys import PostgresKeys
from holdfast.adapters.postgres.leadership import PostgresLeadership
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.outbox import PostgresOutbox
from holdfast.adapters.postgres.recent import PostgresRecent
from holdfast.adapters.postgres.retention import PostgresRetention
from holdfast.adapters.rabbitmq.census import RabbitCensus
from holdfast.adapters.rabbitmq.connection import connect
from holdfast.adapters.rabbitmq.dead_queue import RabbitDeadQueue
from holdfast.adapters.rabbitmq.publisher import Publisher
from holdfast.adapters.rabbitmq.topology import Management, TopologyKeeper
from holdfast.adapters.redis.breakers import RedisBreakers
from holdfast.adapters.redis.gate import RedisGate
from holdfast.adapters.redis.limiter import RedisLimiter
from holdfast.adapters.redis.link import RedisLink
from holdfast.adapters.vault import FernetVault
from holdfast.domain.backlog import BacklogLimits
from holdfast.domain.downstream_policy import Policies
from holdfast.domain.endpoint import Patience
from holdfast.domain.errors import HoldfastError
from holdfast.engine.admission import Admission
from holdfast.engine.backlog_bound import BacklogBound
from holdfast.engine.bulkhead import places_for
from holdfast.engine.bury import BuryDead
from holdfast.engine.conserve import Conservation
from holdfast.engine.dispatch import Dispatch
from holdfast.engine.downstreams import PooledDownstreams
from holdfast.engine.execute import Execute
from holdfast.engine.issue_keys import IssueKeys
from holdfast.engine.meter import Meter, RateLimits
from holdfast.engine.outbox_bound import OutboxBound
from holdfast.engine.overview import Look, Watch
from holdfast.engine.receivers import EndpointReceivers
from holdfast.engine.reseal import Reseal
from holdfast.engine.retain import Retain
from holdfast.engine.run import RunHandler
from holdfast.engine.submit import Submit
from holdfast.handlers.pdf.payload import ENGINES
from holdfast.handlers.registry import installed
from holdfast.handlers.webhook.probe import Probe
from holdfast.ports.clock import SystemClock
from holdfast.ports.downstreams import Worker
from holdfast.ports.faults import NO_FAULTS, Faults
from holdfast.ports.keys import Keys
from holdfast.ports.protection import Protection
from holdfast.ports.retention import Retention
from holdfast.ports.vault import Vault
from holdfast.runtimes import ApiRuntime, Core, OperatorRuntime, StewardRuntime
from holdfast.settings import Settings
from holdfast.telemetry.exposition import begin
from holdfast.telemetry.families import Teller

log = structlog.get_logger(__name__)

DEVELOPMENT_KEY = "RGV2ZWxvcG1lbnQgb25seTogZXZlcnlib2R5IGtub3c="
"""Seals secrets where no key is set; as good as clear text."""


def worker_name(pid: int | None = None) -> str:
    """A process among all that there are, and how a worker signs its claims: `host:pid`."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"


def protection() -> Protection | None:
    """Who can be asked not to stop this process: the ECS agent, where there is one."""
    agent = os.environ.get("ECS_AGENT_URI")
    return EcsProtection(agent) if agent else None


def vault(settings: Settings) -> Vault:
    """What secrets are sealed with; raise HoldfastError when the keys are wrong, or are missing in production."""
    keys = [key.get_secret_value() for key in settings.encryption_keys]
    advice = "`holdfast secrets new-key` makes one; give every process the same"
    if not keys and settings.production:
        raise HoldfastError(f"HOLDFAST_ENCRYPTION_KEYS is not set, so secrets could not be kept; {advice}")
    try:
        return FernetVault(keys or [DEVELOPMENT_KEY])
    except ValueError as error:
        raise HoldfastError(f"HOLDFAST_ENCRYPTION_KEYS cannot be used: {error}; {advice}") from None


def management(settings: Settings) -> Management:
    """The management API of the broker, for the virtual host that the AMQP URL names."""
    vhost = unquote(urlsplit(settings.rabbitmq_url.get_secret_value()).path[1:]) or "/"
    return Management(settings.rabbitmq_management_url.get_secret_value(), vhost)


def database(settings: Settings, *, pool: int | None = None) -> Database:
    """The ledger's connection pool."""
    return Database(
        settings.postgres_url.get_secret_value(), pool=pool or settings.postgres_pool, timeout=settings.postgres_timeout
    )


def topology_keeper(settings: Settings) -> TopologyKeeper:
    """Keeps the broker's queues and policies as they should be."""
    return TopologyKeeper(settings.rabbitmq_url.get_secret_value(), management(settings))


@asynccontextmanager
async def keys(settings: Settings) -> AsyncIterator[tuple[Keys, IssueKeys]]:
    """The key store alone."""
    db = database(settings, pool=1)
    store = PostgresKeys(db)
    try:
        yield store, IssueKeys(store, SystemClock())
    finally:
        await db.close()


@asynccontextmanager
async def reseal(settings: Settings) -> AsyncIterator[Reseal]:
    """What moves secrets to the newest key."""
    sealing = vault(settings)
    db = database(settings, pool=1)
    try:
        yield Reseal(PostgresJobSecrets(db), PostgresEndpoints(db), installed(), sealing)
    finally:
        await db.close()


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[ApiRuntime]:
    """An api process."""
    async with AsyncExitStack() as closing:
        core, db = await _core(settings, closing, name="holdfast api", teller=Teller.API)
        redis = _redis(settings, closing)
        gate = _gate(settings, redis)
        rabbit = management(settings)
        closing.callback(rabbit.close)
        broker = RabbitCensus(rabbit)
        admission = _admission(core, broker)
        receivers = _receivers(core, db)
        submit = Submit(
            core.ledger,
            gate,
            core.dispatch,
            core.kinds,
            core.clock,
            core.vault,
            admission,
            core.faults,
            _offers(settings),
            receivers,
        )
        keys = PostgresKeys(db)
        breakers = RedisBreakers(redis, Policies(settings.downstreams))
        yield ApiRuntime(
            core=core,
            submit=submit,
            meter=_meter(settings, redis),
            gate=gate,
            keys=keys,
            issue_keys=IssueKeys(keys, core.clock),
            dead_letters=PostgresDeadLetters(db),
            endpoints=PostgresEndpoints(db),
            audit=PostgresAudit(db),
            watch=Watch(Look(PostgresCensus(db), broker, PostgresRecent(db), breakers, core.clock)),
            breakers=breakers,
        )


@asynccontextmanager
async def worker(settings: Settings, me: Worker, *, connections: int, children: int) -> AsyncIterator[Execute]:
    """A process that runs jobs, `me`: `connections` to the ledger, up to `children` isolated processes."""
    async with AsyncExitStack() as closing:
        core, db = await _core(
            settings, closing, name=f"holdfast worker {worker_name()}", teller=Teller.WORKER, pool=connections
        )
        egress = AiohttpEgress(allow=settings.egress_allow)
        closing.push_async_callback(egress.close)
        isolation = SubprocessIsolation(max_children=children, limits=settings.limits)
        closing.push_async_callback(isolation.close)
        browser = ChromiumBrowser(settings.chromium) if settings.chromium else None
        if browser is not None:
            closing.push_async_callback(browser.close)
        downstreams = _downstreams(settings, closing, me)
        run = RunHandler(
            core.kinds,
            core.ledger,
            core.artifacts,
            egress,
            isolation,
            downstreams,
            settings.limits,
            core.vault,
            browser,
            _receivers(core, db),
        )
        await closing.enter_async_context(downstreams.reporting(lambda: run.busy))
        yield Execute(
            core.ledger,
            core.dispatch,
            core.kinds,
            run,
            core.clock,
            worker=worker_name(),
            lease_margin=timedelta(seconds=settings.lease_margin),
            faults=core.faults,
        )


@asynccontextmanager
async def steward(settings: Settings) -> AsyncIterator[StewardRuntime]:
    """A process that stands for election as steward."""
    async with AsyncExitStack() as closing:
        core, db = await _core(settings, closing, name="holdfast steward", teller=Teller.STEWARD, pool=2)
        dead_queue = RabbitDeadQueue(settings.rabbitmq_url.get_secret_value())
        closing.push_async_callback(dead_queue.let_go)
        topology = topology_keeper(settings)
        closing.callback(topology.close)
        bury = BuryDead(core.ledger, core.outbox, PostgresDeadLetters(db), core.dispatch, core.clock, core.faults)
        leadership = PostgresLeadership(settings.postgres_url.get_secret_value())
        census = management(settings)
        closing.callback(census.close)
        conservation = Conservation(PostgresCensus(db), RabbitCensus(census), core.outbox, core.dispatch)
        egress = AiohttpEgress(allow=settings.egress_allow)
        closing.push_async_callback(egress.close)
        endpoints = PostgresEndpoints(db)
        yield StewardRuntime(
            core=core,
            leadership=leadership,
            dead_queue=dead_queue,
            bury=bury,
            topology=topology,
            conservation=conservation,
            breakers=RedisBreakers(_redis(settings, closing), Policies(settings.downstreams)),
            recent=PostgresRecent(db),
            retain=_retain(core, PostgresRetention(db)),
            endpoints=endpoints,
            probe=Probe(endpoints, _receivers(core, db), egress, core.clock, _patience(settings)),
        )


@asynccontextmanager
async def operator(settings: Settings) -> AsyncIterator[OperatorRuntime]:
    """A command line that looks and repairs. Nothing is connected before it is used."""
    async with AsyncExitStack() as closing:
        core, db = await _core(settings, closing, name="holdfast operator", pool=2)
        gate = _gate(settings, _redis(settings, closing))
        api = management(settings)
        closing.callback(api.close)
        dead_queue = RabbitDeadQueue(settings.rabbitmq_url.get_secret_value())
        closing.push_async_callback(dead_queue.let_go)
        census = PostgresCensus(db)
        yield OperatorRuntime(
            core=core,
            census=census,
            conservation=Conservation(census, RabbitCensus(api), core.outbox, core.dispatch),
            leadership=PostgresLeadership(settings.postgres_url.get_secret_value()),
            management=api,
            topology=topology_keeper(settings),
            gate=gate,
            dead_queue=dead_queue,
            bury=BuryDead(core.ledger, core.outbox, PostgresDeadLetters(db), core.dispatch, core.clock, core.faults),
            audit=PostgresAudit(db),
        )


def broker_version(settings: Settings) -> str:
    """What the broker says of itself over AMQP; raise BrokerUnavailable, also when it is too old."""
    connection = connect(settings.rabbitmq_url.get_secret_value(), name="holdfast doctor")
    version = str(connection.server_properties.get("version"))
    connection.close()
    return version


def _redis(settings: Settings, closing: AsyncExitStack) -> RedisLink:
    link = RedisLink(settings.redis_url.get_secret_value(), timeout=settings.redis_timeout)
    closing.push_async_callback(link.close)
    return link


def _downstreams(settings: Settings, closing: AsyncExitStack, worker: Worker) -> PooledDownstreams:
    policies = Policies(settings.downstreams)
    return PooledDownstreams(
        RedisBreakers(_redis(settings, closing), policies),
        MemoryBreakers(policies),
        policies,
        worker,
        most=places_for(worker.concurrency, settings.downstream_share),
        draw=random.random,
    )


def _gate(settings: Settings, link: RedisLink) -> RedisGate:
    return RedisGate(link, hold=settings.gate_hold, memory=settings.gate_memory)


def _meter(settings: Settings, link: RedisLink) -> Meter:
    limits = RateLimits(settings.rate_limit_key, settings.rate_limit_tenant, settings.rate_limit_overrides)
    return Meter(RedisLimiter(link, worker_name()), limits)


def _admission(core: Core, broker: RabbitCensus) -> Admission:
    limits = BacklogLimits(timedelta(seconds=core.settings.backlog_wait), core.settings.backlog_jobs)
    return Admission(
        OutboxBound(core.outbox, core.settings.outbox_limit, time.monotonic),
        BacklogBound(broker, limits, time.monotonic),
    )


def _offers(settings: Settings) -> dict[str, tuple[str, ...]]:
    """What a job may ask for here. The operator says so: workers may be scaled to none, and start when a job waits."""
    return {ENGINES: ("weasyprint", "chromium") if settings.chromium else ("weasyprint",)}


def _receivers(core: Core, db: Database) -> EndpointReceivers:
    patience = _patience(core.settings)
    return EndpointReceivers(PostgresEndpoints(db), core.vault, core.clock, patience, time.monotonic)


def _patience(settings: Settings) -> Patience:
    return Patience(
        failures=settings.endpoint_failures,
        lasting=timedelta(seconds=settings.endpoint_failing_for),
        probe_after=timedelta(seconds=settings.endpoint_probe_after),
    )


def _retain(core: Core, retention: Retention) -> Retain:
    succeeded = timedelta(days=core.settings.retain_succeeded_days)
    dead = timedelta(days=core.settings.retain_dead_days)
    return Retain(retention, core.artifacts, core.clock, succeeded=succeeded, dead=dead)


async def _core(
    settings: Settings, closing: AsyncExitStack, *, name: str, teller: Teller | None = None, pool: int | None = None
) -> tuple[Core, Database]:
    kinds = installed()
    if teller is not None:
        begin({teller}, [handler.kind for handler in kinds.all()])
    db = database(settings, pool=pool)
    closing.push_async_callback(db.close)
    publisher = Publisher(
        settings.rabbitmq_url.get_secret_value(),
        name=name,
        timeout=settings.publish_timeout,
        window=settings.publish_window,
    )
    closing.callback(publisher.close)
    outbox = PostgresOutbox(db)
    faults = _faults(settings)
    dispatch = Dispatch(publisher, outbox, faults)
    closing.push_async_callback(dispatch.idle)
    core = Core(
        settings=settings,
        clock=SystemClock(),
        kinds=kinds,
        ledger=PostgresLedger(db),
        outbox=outbox,
        broker=publisher,
        dispatch=dispatch,
        artifacts=ObstoreArtifacts(settings.artifacts_url),
        vault=vault(settings),
        faults=faults,
    )
    return core, db


def _faults(settings: Settings) -> Faults:
    """None, but for a test in development that set a folder for them."""
    if settings.faults is None or settings.production:
        return NO_FAULTS
    log.warning("faults_can_be_injected", folder=str(settings.faults))
    return FolderFaults(settings.faults)
