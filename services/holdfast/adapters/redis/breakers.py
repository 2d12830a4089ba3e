"""Breakers in Redis, shared by the whole pool: each question and each report is one run of `breaker.lua`.

A downstream is one key (JSON) that expires when it would be the same as a new one; an index by name lets people look.
The index holds `MOST` names at most, whatever hosts clients think of. A worker is a key that its heartbeat renews.
Losing all of it costs what had been learnt: the breakers begin closed, and learn again.

Keys are reached that the call does not name (those that the index forgets), so this wants one Redis, not a cluster.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from holdfast.adapters.redis.link import RedisLink
from holdfast.domain.circuit import CircuitState, Reason
from holdfast.domain.downstream import Admitted, Ask, Downstream, Move, Override, Refused, from_plain
from holdfast.domain.downstream_policy import DownstreamPolicy, Policies
from holdfast.ports.downstreams import Evidence, Known, Told, Verdict, Worker, instances, known

PREFIX = "hf:downstream:"
INDEX = "hf:downstreams"
WORKERS = "hf:workers"
MOST = 10_000
ALIVE_MS = 10_000
"""For how long a beat counts."""
BEAT = """
local now = tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode({now + ARGV[4], ARGV[2]}))
redis.call('PEXPIRE', KEYS[1], 6 * ARGV[4])
local alive, rows = {}, redis.call('HGETALL', KEYS[1])
for place = 1, #rows, 2 do
  local row = cjson.decode(rows[place + 1])
  if row[1] > now then alive[#alive + 1] = row[2] else redis.call('HDEL', KEYS[1], rows[place]) end
end
return alive
"""


class RedisBreakers:
    """Implements `ports.downstreams.Breakers`. `clock` (milliseconds) replaces Redis's own time in tests."""

    def __init__(
        self,
        link: RedisLink,
        policies: Policies,
        clock: Callable[[], int] | None = None,
        *,
        prefix: str = "",
        most: int = MOST,
    ) -> None:
        self._link, self._redis, self._policies = link, link.redis, policies
        self._clock, self._most = clock, most
        self._keys, self._index, self._workers = prefix + PREFIX, prefix + INDEX, prefix + WORKERS
        self._breaker = (files("holdfast.adapters.redis") / "breaker.lua").read_text()
        self._written: dict[DownstreamPolicy, str] = {}

    async def admit(self, name: str, ask: Ask) -> Verdict:
        """One script."""
        [raw] = await self._link.spare(lambda: self._run([self._question("admit", name, asdict(ask))]))
        answer = json.loads(raw)
        return Verdict(_answer(answer), answer["now"], _move(answer))

    async def tell(self, worker: Worker, alive: int, evidence: Sequence[Evidence]) -> Told:
        """One script for each report and one for the heartbeat, in one pipeline."""
        scripts = [self._question("record", one.name, _told(one, worker, alive)) for one in evidence]
        beat = _Script(BEAT, [self._workers], [worker.process, json.dumps(asdict(worker)), self._now(), ALIVE_MS])
        *answers, rows = await self._link.spare(lambda: self._run([*scripts, beat]))
        return Told(instances(_workers(rows), worker.pool), [_move(json.loads(raw)) for raw in answers])

    async def workers(self) -> list[Worker]:
        """Those whose beat counts."""
        now = await self.now()
        rows = [json.loads(row) for row in await self._link.call(self._redis.hvals(self._workers))]
        return _workers([row for until, row in rows if until > now])

    async def look(self, name: str) -> Known:
        """One of them."""
        return known(name, await self.downstream(name), await self.now(), self._policies.of(name))

    async def all(self) -> list[Known]:
        """All that the index names."""
        now = await self.now()
        names = [name.decode() for name in await self._link.call(self._redis.zrangebyscore(self._index, now, "+inf"))]
        if not names:
            return []
        kept = await self._link.call(self._redis.mget([self._keys + name for name in names]))
        found = sorted((name, raw) for name, raw in zip(names, kept, strict=True) if raw is not None)
        return [known(name, _kept(raw, now), now, self._policies.of(name)) for name, raw in found]

    async def override(self, name: str, override: Override) -> Known:
        """Force it."""
        return await self._force(name, {"override": asdict(override)})

    async def clear(self, name: str) -> Known:
        """Let it be."""
        return await self._force(name, {})

    async def now(self) -> int:
        """Redis's time."""
        found: int = await self._link.call(self._time())
        return found

    async def downstream(self, name: str) -> Downstream:
        """What is kept of it."""
        return _kept(await self._link.call(self._redis.get(self._keys + name)), await self.now())

    async def _force(self, name: str, said: Mapping[str, Any]) -> Known:
        await self._link.call(self._run([self._question("force", name, said)]))
        return await self.look(name)

    async def _time(self) -> int:
        if self._clock is not None:
            return self._clock()
        seconds, micros = await self._redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    async def _run(self, scripts: Sequence[_Script]) -> list[Any]:
        """Run scripts in one round trip; in two when Redis does not know one of them, as after its restart."""
        answers = await self._pipeline(scripts)
        if any(isinstance(answer, NoScriptError) for answer in answers):
            for text in {script.text for script in scripts}:
                await self._redis.script_load(text)
            missed = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            for place, answer in zip(missed, await self._pipeline([scripts[one] for one in missed]), strict=True):
                answers[place] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _pipeline(self, scripts: Sequence[_Script]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for script in scripts:
                pipe.evalsha(script.sha, len(script.keys), *script.keys, *script.args)
            answers: list[Any] = await pipe.execute(raise_on_error=False)
            return answers

    def _question(self, question: str, name: str, said: Mapping[str, Any]) -> _Script:
        args = [question, name, self._now(), self._policy(name), json.dumps(said), self._most]
        return _Script(self._breaker, [self._keys + name, self._index], args)

    def _now(self) -> int | str:
        return "" if self._clock is None else self._clock()

    def _policy(self, name: str) -> str:
        policy = self._policies.of(name)
        if policy not in self._written:
            self._written[policy] = json.dumps(asdict(policy))
        return self._written[policy]


@dataclass(frozen=True, slots=True)
class _Script:
    text: str
    keys: list[str]
    args: list[Any]

    @property
    def sha(self) -> str:
        return _sha(self.text)


@cache
def _sha(text: str) -> str:
    """By which Redis knows a script."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _kept(raw: bytes | None, now: int) -> Downstream:
    """What the script wrote, unless its time is over."""
    plain = json.loads(raw) if raw else None
    return from_plain(plain) if plain and plain["until"] > now else Downstream()


def _told(evidence: Evidence, worker: Worker, alive: int) -> dict[str, Any]:
    who = {"worker": worker.instance, "alive": alive, "draw": evidence.draw}
    return {**asdict(evidence.report), "calls": evidence.report.calls, **who}


def _answer(answer: Mapping[str, Any]) -> Admitted | Refused:
    if "reason" in answer:
        return Refused(Reason(answer["reason"]), answer["retry_at"])
    return Admitted(answer["epoch"], leased=answer["leased"], fresh=answer["fresh"])


def _move(answer: Mapping[str, Any]) -> Move | None:
    moved = answer.get("moved")
    if not moved:
        return None
    before, after = CircuitState(moved["before"]), CircuitState(moved["after"])
    return Move(before, after, moved["trips"], moved["open_until"], moved["flagged"])


def _workers(rows: Sequence[str | bytes]) -> list[Worker]:
    found = [Worker(**json.loads(row)) for row in rows]
    return sorted(found, key=lambda worker: (worker.pool, worker.process))
