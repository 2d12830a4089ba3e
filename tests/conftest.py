"""Real services for every test that needs one: the sandbox's, with a database and a virtual host of the run's own.

On a laptop a missing service skips with the reason; with CI set it fails.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from sqlalchemy import make_url

from harness import Platform, psql
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.migrate import upgrade
from holdfast.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[1]
SERVICES = ("HOLDFAST_POSTGRES_URL", "HOLDFAST_RABBITMQ_URL", "HOLDFAST_RABBITMQ_MANAGEMENT_URL", "HOLDFAST_REDIS_URL")


def pytest_configure() -> None:
    """The width of the terminal is not what the tests are about; pytest-xdist hands it to its processes."""
    os.environ.pop("COLUMNS", None)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Filters by what they ask for, sets in order, text as UTF-8: processes that share the tests call them the same."""
    match val:
        case dict():
            name = "&".join(map(str, val)) or "all"
        case set():
            name = "|".join(sorted(map(str, val))) or "none"
        case str():
            name = val
        case _:
            return None
    return name if name.isprintable() else ascii(name)[1:-1]


@pytest.fixture(scope="session")
def services(worker_id: str) -> dict[str, str]:
    """The URLs of the services, checked to answer; start them with `python3 infra/sandbox up`.

    Each of the processes that share the tests has a Redis database of its own.
    """
    found = {name: os.environ[name] for name in SERVICES if name in os.environ}
    if worker_id != "master" and (redis := found.get("HOLDFAST_REDIS_URL")):
        found["HOLDFAST_REDIS_URL"] = urlsplit(redis)._replace(path=f"/{worker_id.removeprefix('gw')}").geturl()
    missing = [name for name in SERVICES if name not in found]
    if missing:
        _absent(f"{', '.join(missing)} not set: run `make test`, which starts the services")
    for name, url in found.items():
        parts = urlsplit(url)
        try:
            socket.create_connection((parts.hostname or "", parts.port or 0), timeout=2).close()
        except OSError as error:
            _absent(f"{name} does not answer: {error}")
    return found


@contextmanager
def fresh(services: dict[str, str], folder: Path) -> Iterator[Settings]:
    """Settings with a database and a virtual host of their own, both removed at the end."""
    name = f"test_{secrets.token_hex(4)}"
    url = make_url(services["HOLDFAST_POSTGRES_URL"])
    amqp = urlsplit(services["HOLDFAST_RABBITMQ_URL"])
    management = urlsplit(services["HOLDFAST_RABBITMQ_MANAGEMENT_URL"])
    broker = httpx.Client(
        base_url=f"http://{management.hostname}:{management.port}/api",
        auth=(management.username or "", management.password or ""),
        timeout=120,  # a virtual host with many queues goes slowly
    )
    psql(url, f'CREATE DATABASE "{name}"')
    broker.put(f"/vhosts/{name}").raise_for_status()
    database = url.set(database=name).render_as_string(hide_password=False)
    upgrade(database)
    try:
        yield Settings(
            postgres_url=database,
            rabbitmq_url=urlunsplit(amqp._replace(path=f"/{name}")),
            rabbitmq_management_url=services["HOLDFAST_RABBITMQ_MANAGEMENT_URL"],
            redis_url=services["HOLDFAST_REDIS_URL"],
            redis_timeout=5.0,  # a process that stalls for longer takes Redis for away, and answers otherwise
            artifacts_url=f"file://{folder}",
            egress_allow=("127.0.0.0/8",),
            chromium=os.environ.get("HOLDFAST_CHROMIUM", ""),
            relay_after=1.0,
        )
    finally:
        broker.delete(f"/vhosts/{name}")
        broker.close()
        psql(url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def fresh_settings() -> Callable[[dict[str, str], Path], AbstractContextManager[Settings]]:
    """`fresh`, for services other than the run's."""
    return fresh


@pytest.fixture(scope="session")
def settings(services: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of the whole run."""
    with fresh(services, tmp_path_factory.mktemp("artifacts")) as made:
        yield made


@pytest.fixture(scope="module")
def module_settings(services: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of one module, whose broker and ledger nobody else uses."""
    with fresh(services, tmp_path_factory.mktemp("artifacts")) as made:
        yield made


@pytest.fixture
def own_settings(services: dict[str, str], tmp_path: Path) -> Iterator[Settings]:
    """Settings of one test, whose broker and ledger nobody else uses."""
    with fresh(services, tmp_path / "artifacts") as made:
        yield made


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """A connection pool to the run's database."""
    pool = Database(settings.postgres_url.get_secret_value(), pool=8)
    yield pool
    await pool.close()


@pytest.fixture(scope="session")
def platform(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A running platform: one api and both workers, as processes."""
    running = Platform(settings, tmp_path_factory.mktemp("platform"))
    try:
        running.start("api")
        running.start("worker-render")
        running.start("worker-webhook")
        running.wait_ready()
        yield running
    finally:
        running.stop_all()


def _absent(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


sys.path.insert(0, str(REPOSITORY / "examples" / "demo"))
