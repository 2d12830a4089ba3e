"""The engine over the memory adapters, with outages that the test switches on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, cast

from pydantic import BaseModel, ConfigDict

from holdfast.adapters.memory.broker import MemoryBroker
from holdfast.adapters.memory.dead_letters import MemoryDeadLetters
from holdfast.adapters.memory.gate import MemoryGate
from holdfast.adapters.memory.ledger import MemoryLedger
from holdfast.adapters.vault import FernetVault, new_key
from holdfast.domain.attempt import Ask, Claim, Outcome, Refusal, Succeeded, Ticket
from holdfast.domain.backoff import RetryPolicy
from holdfast.domain.envelope import Envelope
from holdfast.domain.errors import BrokerUnavailable, LedgerUnavailable, RedisUnavailable, UnknownKind
from holdfast.domain.job import Job
from holdfast.domain.settlement import Settlement
from holdfast.engine.dispatch import Dispatch
from holdfast.engine.execute import Execute
from holdfast.engine.run import RunHandler
from holdfast.engine.submit import Submit
from holdfast.ports.artifacts import Artifacts
from holdfast.ports.egress import Egress
from holdfast.ports.gate import Answered, GateAnswer, Keyed
from holdfast.ports.handler import Context, Handler
from holdfast.ports.isolation import Isolation
from holdfast.ports.limits import Limits
from holdfast.testing import lone_downstreams
from ledger_world import FakeClock, make_request


class Stopwatch:
    """A monotonic clock that the test moves, in seconds."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


Run = Callable[[Context, Any], Awaitable[Outcome]]


class Payload(BaseModel):
    model_config = ConfigDict(extra="forbid")
    say: str


class Echo:
    """A handler whose behaviour the test sets."""

    kind: ClassVar[str] = "test.echo"
    queue: ClassVar[str] = "image"
    Payload: ClassVar[type[BaseModel]] = Payload
    policy: ClassVar[RetryPolicy] = RetryPolicy()
    time_limit = timedelta(seconds=30)

    def __init__(self) -> None:
        self.contexts: list[Context] = []
        self.act: Run | None = None

    async def run(self, context: Context, payload: Payload) -> Outcome:
        self.contexts.append(context)
        return await self.act(context, payload) if self.act else Succeeded({"said": payload.say})


class OneKind:
    """Implements `ports.handler.Kinds` with the echo alone."""

    def __init__(self) -> None:
        self.echo = Echo()

    def get(self, kind: str) -> Handler:
        if kind != self.echo.kind:
            raise UnknownKind(kind, [self.echo.kind])
        return cast(Handler, self.echo)

    def all(self) -> list[Handler]:
        return [cast(Handler, self.echo)]


class Outage:
    """How many more calls find nobody at home; -1 is for ever."""

    def __init__(self) -> None:
        self.calls = 0
        self.seen = 0

    def strike(self, error: Exception) -> None:
        if self.calls:
            self.calls -= 1
            self.seen += 1
            raise error


class ShakyBroker(MemoryBroker):
    """A broker that can be away, or take the message and lose its confirm."""

    def __init__(self) -> None:
        super().__init__()
        self.away = Outage()
        self.mute = Outage()

    async def publish_all(self, envelopes: Sequence[Envelope]) -> Sequence[BrokerUnavailable | None]:
        return [await self._fate(envelope) for envelope in envelopes]

    async def _fate(self, envelope: Envelope) -> BrokerUnavailable | None:
        try:
            self.away.strike(BrokerUnavailable("RabbitMQ is away"))
            await super().publish_all([envelope])
            self.mute.strike(BrokerUnavailable("the confirm did not come in time"))
        except BrokerUnavailable as error:
            return error
        return None


class ShakyGate(MemoryGate):
    """A gate that can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.away = Outage()

    async def hold(self, requests: Sequence[Keyed]) -> list[GateAnswer]:
        self.away.strike(RedisUnavailable("Redis is away"))
        return await super().hold(requests)

    async def remember(self, answers: Sequence[Answered]) -> None:
        self.away.strike(RedisUnavailable("Redis is away"))
        await super().remember(answers)

    async def release(self, requests: Sequence[Keyed]) -> None:
        self.away.strike(RedisUnavailable("Redis is away"))
        await super().release(requests)


class ShakyLedger(MemoryLedger):
    """A ledger that can be away, or commit a settlement and lose its answer."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.away = Outage()
        self.mute_settle = Outage()
        self.before_settle: Callable[[], Awaitable[object]] | None = None
        self.looks: list[list[Claim]] = []
        """The claims of each question whether they have lapsed."""

    async def accept(self, jobs: Sequence[Job]) -> list[Job]:
        self._strike()
        return await super().accept(jobs)

    async def claim_all(self, asks: Sequence[Ask]) -> list[Claim | Refusal]:
        self._strike()
        return await super().claim_all(asks)

    async def settle_all(self, outcomes: Sequence[tuple[Claim, Settlement]]) -> list[bool]:
        self._strike()
        if self.before_settle:
            await self.before_settle()
        written = await super().settle_all(outcomes)
        self.mute_settle.strike(LedgerUnavailable("the answer was lost"))
        return written

    async def give_back(self, claim: Claim) -> None:
        self._strike()
        await super().give_back(claim)

    async def lapsed(self, claims: Sequence[Claim]) -> list[Claim]:
        self.looks.append(list(claims))
        self._strike()
        return await super().lapsed(claims)

    async def confirmed(self, sent: Sequence[Envelope]) -> None:
        self._strike()
        await super().confirmed(sent)

    async def ping(self) -> None:
        self._strike()

    def _strike(self) -> None:
        self.away.strike(LedgerUnavailable("Postgres is away"))


class NoPlatform:
    """Artifacts, egress and isolation, for handlers that use none but artifacts."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes, media_type: str) -> None:
        self.objects.setdefault(key, data)


@dataclass
class World:
    """One process of everything."""

    clock: FakeClock = field(default_factory=FakeClock)
    broker: ShakyBroker = field(default_factory=ShakyBroker)
    gate: ShakyGate = field(default_factory=ShakyGate)
    kinds: OneKind = field(default_factory=OneKind)
    platform: NoPlatform = field(default_factory=NoPlatform)

    def __post_init__(self) -> None:
        self.ledger = ShakyLedger(self.clock)
        self.dead_letters = MemoryDeadLetters(self.ledger)
        self.dispatch = Dispatch(self.broker, self.ledger)
        self.vault = FernetVault([new_key()])
        self.downstreams = lone_downstreams()
        self.submit = Submit(self.ledger, self.gate, self.dispatch, self.kinds, self.clock, self.vault)
        self.execute = Execute(
            self.ledger,
            self.dispatch,
            self.kinds,
            RunHandler(
                self.kinds,
                self.ledger,
                cast(Artifacts, self.platform),
                cast(Egress, self.platform),
                cast(Isolation, self.platform),
                self.downstreams,
                Limits(),
                self.vault,
            ),
            self.clock,
            worker="here:1",
            lease_margin=timedelta(seconds=30),
        )

    @property
    def echo(self) -> Echo:
        return self.kinds.echo

    async def accepted(self, **changes: Any) -> Job:
        """A job that was submitted, and whose ticket the broker has."""
        submission = await self.submit.submit(make_request(**changes))
        await self.dispatch.idle()
        return submission.job

    async def job(self, job: Job) -> Job:
        """The job as it is now."""
        found = await self.ledger.any_job(job.id)
        assert found is not None
        return found


def ticket(envelope: Envelope, *, redelivered: bool = False) -> Ticket:
    return Ticket(envelope.job_id, envelope.attempt, redelivered)
