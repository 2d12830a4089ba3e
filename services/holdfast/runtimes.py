"""What each kind of process has in its hands: made by `bootstrap`, used by the entry points."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.adapters.postgres.census import PostgresCensus
from holdfast.adapters.rabbitmq.topology import Management, TopologyKeeper
from holdfast.adapters.redis.gate import RedisGate
from holdfast.engine.bury import BuryDead
from holdfast.engine.conserve import Conservation
from holdfast.engine.dispatch import Dispatch
from holdfast.engine.issue_keys import IssueKeys
from holdfast.engine.meter import Meter
from holdfast.engine.overview import Watch
from holdfast.engine.retain import Retain
from holdfast.engine.submit import Submit
from holdfast.handlers.webhook.probe import Probe
from holdfast.ports.activity import Recent
from holdfast.ports.artifacts import Artifacts
from holdfast.ports.audit import Audit
from holdfast.ports.broker import Broker
from holdfast.ports.clock import Clock
from holdfast.ports.dead_letters import DeadLetters
from holdfast.ports.dead_queue import DeadQueue
from holdfast.ports.downstreams import Breakers
from holdfast.ports.endpoints import Endpoints
from holdfast.ports.faults import Faults
from holdfast.ports.gate import Gate
from holdfast.ports.handler import Kinds
from holdfast.ports.keys import Keys
from holdfast.ports.leadership import Leadership
from holdfast.ports.ledger import Ledger
from holdfast.ports.outbox import Outbox
from holdfast.ports.vault import Vault
from holdfast.settings import Settings


@dataclass(frozen=True, slots=True)
class Core:
    """What every process has: the ledger, the broker, and the way between them."""

    settings: Settings
    clock: Clock
    kinds: Kinds
    ledger: Ledger
    outbox: Outbox
    broker: Broker
    dispatch: Dispatch
    artifacts: Artifacts
    vault: Vault
    faults: Faults


@dataclass(frozen=True, slots=True)
class ApiRuntime:
    """What the api answers with."""

    core: Core
    submit: Submit
    meter: Meter
    gate: Gate
    keys: Keys
    issue_keys: IssueKeys
    dead_letters: DeadLetters
    endpoints: Endpoints
    audit: Audit
    watch: Watch
    breakers: Breakers


@dataclass(frozen=True, slots=True)
class StewardRuntime:
    """What the steward's loops need."""

    core: Core
    leadership: Leadership
    dead_queue: DeadQueue
    bury: BuryDead
    topology: TopologyKeeper
    conservation: Conservation
    breakers: Breakers
    recent: Recent
    retain: Retain
    endpoints: Endpoints
    probe: Probe


@dataclass(frozen=True, slots=True)
class OperatorRuntime:
    """What `holdfast doctor` and `holdfast reconcile` look at."""

    core: Core
    census: PostgresCensus
    conservation: Conservation
    leadership: Leadership
    management: Management
    topology: TopologyKeeper
    gate: RedisGate
    dead_queue: DeadQueue
    bury: BuryDead
    audit: Audit
