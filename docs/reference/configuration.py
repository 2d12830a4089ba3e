"""`guides/configuration.md`: every setting, downstream policy and limit, with its default."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel, SecretStr

from holdfast.domain.downstream_policy import BUILT_IN, DownstreamPolicy, spoken
from holdfast.ports.limits import Limits
from holdfast.settings import Settings
from reference.source import attributes, meaning
from reference.table import row, table

SAID: Mapping[str, str] = {
    "Settings.postgres_url": "The ledger, as SQLAlchemy writes it: `postgresql+asyncpg://user:password@host:port/database`.",
    "Settings.rabbitmq_url": "`amqp://` or `amqps://user:password@host:port/virtual-host`.",
    "Settings.rabbitmq_management_url": "The management API, which sets policies; its user needs the tag policymaker.",
    "Settings.redis_url": "The idempotency gate, rate limits and circuit breakers.",
    "Settings.environment": "In `production` every request needs an API key, and the api does not start with the "
    "development signing key.",
    "Settings.worker_grace": "How long a stopping worker lets running jobs finish before it gives them back. Keep it "
    "below the time after which whatever stops the process kills it.",
    "Settings.api_host": "Address that the api listens on. Off loopback, every request needs an API key.",
    "Settings.api_port": "Port that the api listens on.",
    "Settings.log_level": "`DEBUG`, `INFO`, `WARNING` or `ERROR`.",
}
"""`Class.attribute`: its meaning, where the class has no text of its own, or one for readers of the code."""

PREAMBLE = """\
# Configuration

<!-- Written by docs/generate.py from services/holdfast/settings.py and services/holdfast/ports/limits.py. -->

Every Holdfast process reads its settings once, when it starts, from environment variables; a change takes a restart.
Times are in seconds, sizes in bytes. A value that does not fit stops the process with the name of the variable. The
defaults serve a laptop with the services on their standard ports; `python3 infra/sandbox up` writes the addresses of
its own services to `.holdfast/env`:

```console
$ set -a; . .holdfast/env; set +a
```

In production set at least `HOLDFAST_ENVIRONMENT=production`, the four addresses, `HOLDFAST_ARTIFACTS_URL`,
`HOLDFAST_SIGNING_KEY` and `HOLDFAST_ENCRYPTION_KEYS`. The api does not start in production with the development signing
key, and no process does without an encryption key.
"""
LIMITS = """\
## Limits

What stands between a hostile input and a worker. Set one by its name after `HOLDFAST_LIMITS__`.
The time limit of a whole attempt belongs to its kind (`holdfast kinds` shows it) and is not a setting: a limit here
that is longer than that has no effect.
"""
POLICIES = """\
## Downstream policies

How much is asked of what jobs call, and how much is put up with ([downstreams](../architecture.md#downstreams)). Set
single fields for one destination, for a family of them (`webhook:*`), or for all (`*`) in `HOLDFAST_DOWNSTREAMS`; the
most specific pattern wins, field by field. Times are in seconds, shares lie between 0 and 1:

```json
{
  "webhook:*": {"open": 10, "failures_share": 0.3},
  "webhook:api.example.com": {"concurrency": 5, "rate": 20, "strict": true},
  "smtp:mail.example.com": {"slow": 30}
}
```
"""
EPILOGUE = """\
## Read elsewhere

| variable | read by | meaning |
|---|---|---|
| `HOLDFAST_TRACEBACK` | `holdfast`, `dlq-tool` | Set to anything: show the traceback of a defect. |
| `HOLDFAST_HOME`, `HOLDFAST_SANDBOX_SERVICES` | `python3 infra/sandbox` | Its folder, and which services it starts. |
| `HOLDFAST_SANDBOX_CACHE` | `python3 infra/sandbox` | Where it keeps downloads; several folders may share it. |
| `OTEL_*` | every process | Whether and where to send traces, as for any program with OpenTelemetry \
([observability](observability.md#traces)). |
| `ECS_AGENT_URI` | workers | Set by ECS: where a busy worker asks not to be let go when there are too many. |
| `AWS_*` | api, workers | Credentials, region and endpoint for `s3://` artifacts, as for any AWS client. |
"""


def configuration() -> str:
    """`configuration.md`: the settings in the groups of their source, then the limits."""
    groups: dict[str, list[str]] = {}
    for attribute in attributes(Settings):
        if attribute.name == "limits":
            continue
        variable = f"`HOLDFAST_{attribute.name.upper()}`"
        cells = [variable, _default(Settings, attribute.name), meaning(Settings, attribute, SAID)]
        groups.setdefault(attribute.group, []).append(row(cells))
    limits = [
        row([f"`{attribute.name.upper()}`", _default(Limits, attribute.name), meaning(Limits, attribute, SAID)])
        for attribute in attributes(Limits)
    ]
    sections = [f"## {name}\n\n{table(['variable', 'default', 'meaning'], rows)}" for name, rows in groups.items()]
    policies = [
        row([f"`{spoken(one.name)}`", _policy_default(one.name), one.text]) for one in attributes(DownstreamPolicy)
    ]
    sections.append(f"{POLICIES}\n{table(['field', 'default', 'meaning'], policies)}")
    sections.append(f"{LIMITS}\n{table(['variable', 'default', 'meaning'], limits)}")
    return "\n".join([PREAMBLE, *sections, EPILOGUE])


def _default(model: type[BaseModel], name: str) -> str:
    """The default as it would be written."""
    value = model.model_fields[name].get_default(call_default_factory=True)
    match value:
        case SecretStr():
            return f"`{value.get_secret_value()}`"
        case None:
            return "not set"
        case bool():
            return f"`{str(value).lower()}`"
        case float():
            return f"`{value:g}`"
        case int() if value >= 1024 and value % 1024 == 0:
            return f"`{value}` ({_size(value)})"
        case tuple():
            return "`[]`" if not value else f"`{value}`"
        case Enum():
            return f"`{value.value}`"
        case _:
            return f"`{value}`"


def _policy_default(name: str) -> str:
    """The default as people write it, and the families that have another."""
    plain = _thousandths(name, getattr(DownstreamPolicy(), name))
    others = [f"{pattern}: {_thousandths(name, own[name])}" for pattern, own in BUILT_IN.items() if name in own]
    return "; ".join([plain, *others])


def _thousandths(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        return f"`[{', '.join(f'{one / 1000:g}' for one in value)}]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value / 1000:g}`" if name.endswith(("_ms", "_permille")) else f"`{value}`"


def _size(value: int) -> str:
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if value >= size and value % size == 0:
            return f"{value // size} {unit}"
    return f"{value} B"
