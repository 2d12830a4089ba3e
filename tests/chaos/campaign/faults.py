"""What is broken, when, and how. Two lanes work at the same time: one on processes, one on services.

A lane begins with every fault it knows, once, in random order, and then goes on drawing. The plan is made from
the seed before anything starts; which process is hit is drawn from the seed too, among those alive at that time.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import asyncpg
import psutil
import redis

from .world import Fleet, Sandbox, query


class Fault(StrEnum):
    """The kinds of faults. The value is what the report calls them."""

    CHILD_KILL = "SIGKILL of a worker's child"
    WORKER_KILL = "SIGKILL of a whole worker"
    WORKER_STOP = "SIGTERM of a worker"
    API_KILL = "SIGKILL of an api"
    LEADER_KILL = "SIGKILL of the steward's leader"
    BROKER_KILL = "kill -9 of RabbitMQ"
    BROKER_RESTART = "graceful restart of RabbitMQ"
    REDIS_FLUSH = "FLUSHALL of Redis"
    REDIS_AWAY = "Redis away for 2 s"
    POSTGRES_KILL = "kill -9 of PostgreSQL"
    POSTGRES_RESTART = "restart of PostgreSQL"


PROCESSES = (Fault.CHILD_KILL, Fault.WORKER_KILL, Fault.WORKER_STOP, Fault.API_KILL, Fault.LEADER_KILL)
SERVICES = tuple(fault for fault in Fault if fault not in PROCESSES)


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault of the plan: `at` seconds after the begin, and the draw that picks its victim."""

    at: float
    fault: Fault
    draw: float


def plan(seed: int, kinds: Sequence[Fault], *, lasting: float, gap: float) -> list[Strike]:
    """Strikes of one lane, `gap` seconds apart on average; each kind once first, though it take longer."""
    draw = random.Random(f"{seed}/{kinds[0]}")
    first = draw.sample(list(kinds), len(kinds))
    strikes, at = [], gap / 2
    while first or at < lasting:
        fault = first.pop() if first else draw.choice(list(kinds))
        strikes.append(Strike(at, fault, draw.random()))
        at += gap * draw.uniform(0.5, 1.5)
    return strikes


@dataclass(slots=True)
class Injector:
    """Breaks a fleet and its sandbox by plan. `only` are the faults that there is something for them to hit."""

    sandbox: Sandbox
    fleet: Fleet
    ledger: str | None
    only: Collection[Fault] = tuple(Fault)
    log: list[tuple[float, Fault]] = field(default_factory=list)
    """What was done, and when (monotonic seconds)."""
    errors: list[str] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, *lanes: Sequence[Strike]) -> None:
        """Work the lanes off, each in a thread."""
        begin = time.monotonic()
        for lane in lanes:
            thread = threading.Thread(target=self._work, args=(begin, lane), daemon=True)
            thread.start()
            self._threads.append(thread)

    @property
    def busy(self) -> bool:
        """Whether something is still to come."""
        return any(thread.is_alive() for thread in self._threads)

    def counts(self) -> dict[str, int]:
        """How often each fault was injected."""
        done = Counter(fault for _, fault in self.log)
        return {fault.value: done[fault] for fault in Fault if fault in self.only}

    def _work(self, begin: float, lane: Sequence[Strike]) -> None:
        for strike in lane:
            if strike.fault not in self.only:
                continue
            time.sleep(max(0.0, begin + strike.at - time.monotonic()))
            try:
                if self._strike(strike):
                    self.log.append((time.monotonic(), strike.fault))
            except Exception as error:  # a fault that fails is a defect of the campaign, and must show
                self.errors.append(f"{strike.fault}: {error}")

    def _strike(self, strike: Strike) -> bool:
        match strike.fault:
            case Fault.CHILD_KILL:
                return self._until(lambda: self._kill_child(strike.draw))
            case Fault.WORKER_KILL | Fault.WORKER_STOP:
                return self._until(lambda: self._end_worker(strike))
            case Fault.API_KILL:
                return self._until(lambda: self._kill_api(strike.draw))
            case Fault.LEADER_KILL:
                return self._until(self._kill_leader)
            case Fault.BROKER_KILL | Fault.POSTGRES_KILL:
                service = "rabbitmq" if strike.fault is Fault.BROKER_KILL else "postgres"
                self.sandbox.run("kill", service)
                self.sandbox.run("start", service)
            case Fault.BROKER_RESTART | Fault.POSTGRES_RESTART:
                self.sandbox.run("restart", "rabbitmq" if strike.fault is Fault.BROKER_RESTART else "postgres")
            case Fault.REDIS_FLUSH:
                with redis.Redis.from_url(self.sandbox.addresses()["HOLDFAST_REDIS_URL"]) as client:
                    client.flushall()
            case Fault.REDIS_AWAY:
                self.sandbox.run("stop", "redis")
                time.sleep(2)
                self.sandbox.run("start", "redis")
        return True

    @staticmethod
    def _until(hit: Callable[[], bool], within: float = 90.0) -> bool:
        """Try until there is a victim: the one before may still be starting."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            with contextlib.suppress(psutil.NoSuchProcess, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if hit():
                    return True
            time.sleep(0.1)
        return False

    def _kill_child(self, draw: float) -> bool:
        """A child of a prefork pool: a fork, so it has its parent's command line."""
        children = []
        for member in self.fleet.alive("worker"):
            parent = psutil.Process(member.process.pid)
            children += [child for child in parent.children() if child.cmdline() == parent.cmdline()]
        if not children:
            return False
        _pick(children, draw).kill()
        return True

    def _end_worker(self, strike: Strike) -> bool:
        """A worker that consumes already."""
        workers = [member for member in self.fleet.alive("worker") if member.ready_file.exists()]
        if not workers:
            return False
        victim = _pick(workers, strike.draw)
        if strike.fault is Fault.WORKER_STOP:
            victim.process.terminate()
        else:
            victim.ready_file.unlink(missing_ok=True)
            victim.kill_all()
        return True

    def _kill_api(self, draw: float) -> bool:
        apis = self.fleet.alive("api")
        if not apis:
            return False
        _pick(apis, draw).kill_all()
        return True

    def _kill_leader(self) -> bool:
        """The process at the other end of the connection that holds the steward's lock."""
        assert self.ledger is not None
        held = query(
            self.ledger,
            "SELECT a.client_port FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
            "WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()",
        )
        locked = {row["client_port"] for row in held}
        for member in self.fleet.alive("api"):
            connections = psutil.Process(member.process.pid).net_connections()
            if any(connection.laddr.port in locked for connection in connections):
                member.kill_all()
                return True
        return False


def _pick(victims: list, draw: float):
    return victims[int(draw * len(victims))]
