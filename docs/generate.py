"""Write what the documentation can take from the code: every setting, and every field of the built-in payloads.

    python docs/generate.py            rewrite guides/configuration.md, the tables of the guides to handlers and to
                                       hostile input, and the figures of performance.md and of the README
    python docs/generate.py --check    change nothing; exit code 1 when a file is not what it would write

Names, defaults and bounds come from the classes as they are imported, meanings from the text below each attribute.
`SAID` has the meaning of those that say enough by their names to a reader of the code.
`tests/architecture/test_docs.py` keeps the files as this script writes them.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from holdfast.domain.downstream_policy import BUILT_IN, DownstreamPolicy, spoken
from holdfast.handlers.image.payload import Crop, ImagePayload, Variant, Watermark
from holdfast.handlers.noop import NoopPayload
from holdfast.handlers.pdf.payload import Metadata, Page, PageSize, PdfPayload, Selector
from holdfast.handlers.registry import installed
from holdfast.handlers.source import ArtifactSource, Source
from holdfast.handlers.webhook.payload import WebhookPayload
from holdfast.ports.limits import Limits
from holdfast.settings import Settings
from holdfast.telemetry.exposition import documented
from holdfast.telemetry.families import Label

DOCS = Path(__file__).resolve().parent
METRICS = DOCS / "metrics.md"
CONFIGURATION = DOCS / "guides" / "configuration.md"
HANDLERS = DOCS / "guides" / "handlers.md"
HOSTILE = DOCS / "guides" / "hostile-input.md"
PAYLOADS: Mapping[str, Sequence[type[BaseModel]]] = {
    "source": (Source, ArtifactSource),
    "image.transform": (ImagePayload, Variant, Crop, Watermark),
    "pdf.render": (PdfPayload, Page, PageSize, Metadata, Selector),
    "webhook.dispatch": (WebhookPayload,),
    "custom.noop": (NoopPayload,),
}
"""The tables of `handlers.md`, by the name of their block."""

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
    "Source.artifact": "A result of an earlier job of the same tenant.",
    "ArtifactSource.job_id": "A job of the same tenant that succeeded.",
    "ArtifactSource.name": "An artifact that its result lists.",
    "ImagePayload.source": "The picture.",
    "ImagePayload.variants": "What to make of it; names must be unique.",
    "Variant.width": "Pixels.",
    "Variant.height": "Pixels. One side alone keeps the shape.",
    "Variant.fit": "How the picture meets `width` × `height`; all but `inside` need both.",
    "Variant.auto_orient": "Turn the picture upright by its Exif orientation.",
    "Variant.crop": "Cut this out before resizing.",
    "Variant.watermark": "Laid over the result.",
    "Variant.lossless": "For WebP and AVIF.",
    "Crop.left": "Pixels from the left edge.",
    "Crop.top": "Pixels from the upper edge.",
    "Crop.width": "Pixels.",
    "Crop.height": "Pixels.",
    "Watermark.source": "A picture, from anywhere that the payload's own source may come from.",
    "Watermark.text": "One line.",
    "Watermark.gravity": "Where it lies.",
    "Watermark.opacity": "1 is opaque.",
    "PdfPayload.html": "The document.",
    "PdfPayload.data": "What the template is filled in with.",
    "PdfPayload.page": "Size, orientation and margins.",
    "PdfPayload.footer": "As `header`, in the lower margin.",
    "PdfPayload.metadata": "Title, author and the like.",
    "PageSize.height": "Millimetres.",
    "Page.orientation": "Turns the size.",
    "Metadata.title": "Of the document.",
    "Metadata.author": "Of the document.",
    "Metadata.subject": "Of the document.",
    "Metadata.keywords": "Of the document.",
    "WebhookPayload.url": "http or https, without credentials. Exactly one of `url` and `endpoint_id`.",
    "WebhookPayload.endpoint_id": "An endpoint, with its URL, headers and secrets at the time of delivery.",
    "WebhookPayload.body": "Any JSON, `null` too; sent as compact JSON.",
    "WebhookPayload.body_text": "Text, sent as it is (UTF-8).",
    "WebhookPayload.headers": "Sent along. Not `webhook-*`, and not what HTTP or Holdfast sets itself.",
    "WebhookPayload.secret": "`whsec_` and base64 of 24 to 64 bytes. Without a secret the webhook is not signed.",
    "WebhookPayload.timeout_seconds": "Of one delivery, answer included; `HOLDFAST_LIMITS__WEBHOOK_TIMEOUT` if lower.",
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


@dataclass(frozen=True)
class Attribute:
    """One annotated attribute of a class, as its source has it."""

    name: str
    group: str
    text: str


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with `--check` say which differ."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(DOCS.parent)} is out of date: run `python docs/generate.py`\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages()[path])
    return 0


def pages() -> dict[Path, str]:
    """Every file that this script writes, with its text."""
    return {
        CONFIGURATION: configuration(),
        HANDLERS: handlers(HANDLERS.read_text()),
        METRICS: metrics(METRICS.read_text()),
        HOSTILE: hostile(HOSTILE.read_text()),
        **performance(),
    }


def configuration() -> str:
    """`configuration.md`: the settings in the groups of their source, then the limits."""
    groups: dict[str, list[str]] = {}
    for attribute in attributes(Settings):
        if attribute.name == "limits":
            continue
        variable = f"`HOLDFAST_{attribute.name.upper()}`"
        row = [variable, default(Settings, attribute.name), meaning(Settings, attribute)]
        groups.setdefault(attribute.group, []).append(_row(row))
    limits = [
        _row([f"`{attribute.name.upper()}`", default(Limits, attribute.name), meaning(Limits, attribute)])
        for attribute in attributes(Limits)
    ]
    sections = [f"## {name}\n\n{_table(['variable', 'default', 'meaning'], rows)}" for name, rows in groups.items()]
    policies = [
        _row([f"`{spoken(one.name)}`", _policy_default(one.name), one.text]) for one in attributes(DownstreamPolicy)
    ]
    sections.append(f"{POLICIES}\n{_table(['field', 'default', 'meaning'], policies)}")
    sections.append(f"{LIMITS}\n{_table(['variable', 'default', 'meaning'], limits)}")
    return "\n".join([PREAMBLE, *sections, EPILOGUE])


def metrics(text: str) -> str:
    """`metrics.md` with its table written anew: every metric that a process of ours tells of itself."""
    rows = [
        _row([f"`{it.name}`", it.type, "<br>".join(map(_label, it.labels)) or "–", ", ".join(sorted(it.by)), it.text])
        for it in documented()
    ]
    table = _table(["metric", "type", "labels", "told by", "meaning"], rows)
    return _filled(text, re.compile(r"(<!-- metrics -->\n).*?(<!-- end -->)", re.S), table)


def _label(label: Label) -> str:
    values = label.said or ", ".join(f"`{value}`" for value in label.values())
    return f"**{label.name}**: {values}{', or `other`' * label.open}"


def handlers(text: str) -> str:
    """`handlers.md` with the tables between its markers written anew."""
    for name, models in PAYLOADS.items():
        block = "\n".join(_payload(model, first=index == 0) for index, model in enumerate(models))
        pattern = re.compile(rf"(<!-- fields: {re.escape(name)} -->\n).*?(<!-- end -->)", re.S)
        if len(pattern.findall(text)) != 1:
            raise SystemExit(f"{HANDLERS} needs exactly one block `<!-- fields: {name} -->` … `<!-- end -->`")
        text = _filled(text, pattern, block)
    return _filled(text, re.compile(r"(<!-- kinds -->\n).*?(<!-- end -->)", re.S), _kinds())


def hostile(text: str) -> str:
    """`hostile-input.md` with its table of the corpus written anew."""
    sys.path.insert(0, str(DOCS.parent / "tests"))
    from corpus.generate import families

    listed = list(families())
    rows = [_row([family, str(count), ", ".join(f"`{name}`" for name in names)]) for family, count, names in listed]
    total = f"{sum(count for _, count, _ in listed)} inputs.\n\n"
    block = total + _table(["family", "inputs", "what becomes of them"], rows)
    return _filled(text, re.compile(r"(<!-- families -->\n).*?(<!-- end -->)", re.S), block)


def performance() -> dict[Path, str]:
    """The pages and pictures that loadtest/published makes of the results in docs/performance/."""
    sys.path[:0] = [str(DOCS.parent / name) for name in ("loadtest", "tests/chaos")]
    from published.pages import pages

    return pages()


def _filled(text: str, pattern: re.Pattern[str], block: str) -> str:
    """The text with `block` between the two markers; a function, because the block may hold backslashes."""

    def between(match: re.Match[str]) -> str:
        return f"{match[1]}\n{block}\n{match[2]}"

    return pattern.sub(between, text)


def attributes(model: type[Any]) -> Iterator[Attribute]:
    """The annotated attributes in the order of the source, each with its group (a comment) and the text below it."""
    source = textwrap.dedent(inspect.getsource(model))
    lines = source.splitlines()
    body = next(node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    for position, node in enumerate(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield Attribute(node.target.id, _group(lines, node.lineno - 1), _text_below(body, position))


def meaning(model: type[BaseModel], attribute: Attribute) -> str:
    """What the attribute is for; it must be said somewhere."""
    said = SAID.get(f"{model.__name__}.{attribute.name}") or attribute.text
    if not said:
        raise SystemExit(f"{model.__name__}.{attribute.name} has no meaning: put a text below it")
    return said


def default(model: type[BaseModel], name: str) -> str:
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


def _payload(model: type[BaseModel], *, first: bool) -> str:
    schema = model.model_json_schema()
    required = schema.get("required", ())
    rows = []
    for attribute in attributes(model):
        field = schema["properties"][attribute.name]
        plain = "**required**" if attribute.name in required else _plain(field)
        rows.append(_row([f"`{attribute.name}`", _words(field), plain, meaning(model, attribute)]))
    title = "" if first else f"\n`{model.__name__}`: {inspect.getdoc(model)}\n\n"
    return title + _table(["field", "type", "default", "meaning"], rows)


def _plain(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    if value in (None, [], {}) or isinstance(value, dict):
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _words(field: Mapping[str, Any]) -> str:
    """A JSON Schema in a few words."""
    if field.get("$ref", "").endswith("/JsonValue"):
        return "any JSON"
    if "$ref" in field:
        return f"`{field['$ref'].rpartition('/')[2]}`"
    if "anyOf" in field:
        return " or ".join(_words(option) for option in field["anyOf"] if option.get("type") != "null")
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    match field.get("type"):
        case "array" if "prefixItems" in field:
            return f"{len(field['prefixItems'])} × {_words(field['prefixItems'][0])}"
        case "array":
            return f"list of {_words(field['items'])}{_bounds(field, 'minItems', 'maxItems', '')}"
        case "string":
            length = _bounds(field, "minLength", "maxLength", " characters") if "maxLength" in field else ""
            pattern = f", `{field['pattern']}`" if "x00" not in field.get("pattern", "x00") else ""
            return f"{ {'uuid': 'UUID', 'password': 'secret'}.get(field.get('format', ''), 'text') }{length}{pattern}"
        case "integer" | "number" as name:
            return f"{name}{_bounds(field, 'minimum', 'maximum', '')}{_above(field)}"
        case "boolean":
            return "true or false"
        case "object":
            return "object"
        case _:
            return "any JSON"


def _bounds(field: Mapping[str, Any], low: str, high: str, unit: str) -> str:
    least, most = field.get(low), field.get(high)
    if most is not None:
        return (
            f", {_number(least)} to {_number(most)}{unit}" if least is not None else f", at most {_number(most)}{unit}"
        )
    return f", at least {_number(least)}{unit}" if least is not None else ""


def _above(field: Mapping[str, Any]) -> str:
    return f", above {_number(field['exclusiveMinimum'])}" if "exclusiveMinimum" in field else ""


def _number(value: float) -> str:
    return f"{value:,g}" if not float(value).is_integer() else f"{int(value):,}"


def _kinds() -> str:
    ours = [handler for handler in installed().all() if type(handler).__module__.startswith("holdfast.handlers.")]
    rows = [
        _row(
            [
                f"`{it.kind}`",
                f"`holdfast.{it.queue}`",
                str(it.policy.max_attempts),
                f"{it.time_limit.total_seconds():g} s",
            ]
        )
        for it in ours
    ]
    return _table(["kind", "queue", "attempts", "time limit of an attempt"], rows)


def _group(lines: Sequence[str], index: int) -> str:
    """The comment that opens the paragraph of source around line `index`, without what follows its first full stop."""
    while index > 0 and lines[index - 1].strip():
        index -= 1
    opening = lines[index].strip()
    return opening.removeprefix("# ").partition(".")[0] if opening.startswith("# ") else "General"


def _text_below(body: Sequence[ast.stmt], position: int) -> str:
    after = body[position + 1] if position + 1 < len(body) else None
    if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
        return " ".join(after.value.value.split())
    return ""


def _size(value: int) -> str:
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if value >= size and value % size == 0:
            return f"{value // size} {unit}"
    return f"{value} B"


def _table(head: Sequence[str], rows: Sequence[str]) -> str:
    return "\n".join([_row(head), _row(["---"] * len(head)), *rows]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
