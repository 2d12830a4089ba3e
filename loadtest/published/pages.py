"""Which file gets what."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from . import goals, load, peers
from .results import PUBLISHED, REPOSITORY, Results, save

PAGE = REPOSITORY / "docs" / "performance.md"
README = REPOSITORY / "README.md"
IMAGES = REPOSITORY / "docs" / "images"
Found = Mapping[str, Results]
NOT_YET = "Not measured yet."

BLOCKS: Mapping[str, Callable[[Found], str]] = {
    "goals": goals.markdown,
    "peers": lambda found: _pictured(peers.markdown(found["peers"]), "Holdfast beside its peers", "peers"),
    "split": lambda found: peers.split(found["peers"]),
    "steady": lambda found: load.steady(found["load-enqueue"], found["load-steady"]),
    "shapes": lambda found: _pictured(
        load.shapes(found["load-ramp"], found["load-burst"], found["load-soak"]), "Latency and throughput", "load"
    ),
    "time": lambda found: _pictured(
        load.measured(found["load-drain"]), "Latency over time, a burst, a drain", "load-time"
    ),
    "mixed": lambda found: load.mixed(found["load-mixed"]),
    "memory": lambda found: load.memory(found["load-rest"]),
    "growth": lambda found: load.growth(found["load-growth"]),
    "image": lambda found: load.image(found["image"]),
}
"""The blocks of docs/performance.md."""
PICTURES: Mapping[str, Callable[[Found], str]] = {
    "peers": lambda found: peers.picture(found["peers"]),
    "load": lambda found: load.load_picture(found["load-ramp"]),
    "load-time": lambda found: load.time_picture(found["load-enqueue"], found["load-burst"], found["load-drain"]),
}


def publish(found: Found) -> None:
    """Put results under their names, and write the pages again."""
    for name, results in found.items():
        save(results, PUBLISHED, name)
    for path, text in pages().items():
        path.write_text(text)


def pages() -> dict[Path, str]:
    """Every file, with its text."""
    found = goals.everything()
    page = PAGE.read_text()
    for name, block in BLOCKS.items():
        page = _filled(page, name, _or_not_yet(block, found))
    drawn = {IMAGES / f"{name}.svg": _or_not_yet(draw, found, "") for name, draw in PICTURES.items()}
    return {
        PAGE: page,
        README: _filled(README.read_text(), "performance", _or_not_yet(_summary, found)),
        **{path: text for path, text in drawn.items() if text},
    }


def _summary(found: Found) -> str:
    """Three figures for the README."""
    enqueue = peers.ratio(found["peers"], "celery-redis", "enqueue")
    noop = peers.ratio(found["peers"], "celery-redis", "noop")
    webhook = peers.ratio(found["peers"], "celery-redis", "webhook")
    if not (enqueue and noop and webhook):
        raise KeyError("peers")
    return (
        f"Beside FastAPI + Celery + Redis in the same run, on {found['peers']['machine']}: **{enqueue[0]:.1f}×** the "
        f"accepted jobs a second over HTTP, **{noop[0]:.1f}×** the no-ops settled a second, **{webhook[0]:.1f}×** the "
        "webhooks a second of one worker process, with guarantees that it has not. All figures, three more peers, and "
        "what holds those that fall short: [performance](docs/performance.md).\n\n"
        "![Holdfast beside its peers](docs/images/peers.svg)"
    )


def _or_not_yet(write: Callable[[Found], str], found: Found, instead: str = NOT_YET) -> str:
    try:
        return write(found)
    except KeyError:  # a result that is not there
        return instead


def _pictured(text: str, title: str, name: str) -> str:
    return f"{text}\n\n![{title}](images/{name}.svg)".strip()


def _filled(page: str, name: str, block: str) -> str:
    """The page with this block between its markers."""
    pattern = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.S)
    if len(pattern.findall(page)) != 1:
        raise SystemExit(f"exactly one block `<!-- {name}: begin -->` … `<!-- {name}: end -->` is needed")
    return pattern.sub(lambda match: f"{match[1]}\n{block}\n\n{match[2]}", page)
