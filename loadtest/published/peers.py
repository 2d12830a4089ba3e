"""Holdfast beside its peers: medians over the rounds, and ratios within each round."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from campaign.panel import STYLE

from peers.roster import PEERS

from .results import Results, measured, number, table

HOLDFAST = "holdfast"
MEASURES = {
    "enqueue": "accepted a second, over HTTP",
    "noop": "no-ops settled a second",
    "webhook": "webhooks delivered a second, one worker process",
}
SHORT = {"enqueue": "accepted over HTTP", "noop": "no-ops settled", "webhook": "webhooks, one worker process"}
TITLES = {HOLDFAST: "**Holdfast**"} | {peer.name: peer.title for peer in PEERS}
COLOURS = {"enqueue": "#3b82f6", "noop": "#2da44e", "webhook": "#d9822b"}


def rates(found: Results, side: str, measure: str) -> dict[str, float]:
    """By round, of those that added up."""
    visits = found["visits"].items()
    return {
        label.partition("/")[0]: visit[measure]["a second"]
        for label, visit in visits
        if label.partition("/")[2] == side and "failed" not in visit
    }


def ratio(found: Results, peer: str, measure: str) -> tuple[float, float, float] | None:
    """How many times as fast Holdfast is: the median over the rounds, the least and the most."""
    ours, theirs = rates(found, HOLDFAST, measure), rates(found, peer, measure)
    each = [ours[number] / theirs[number] for number in ours.keys() & theirs.keys()]
    return (median(each), min(each), max(each)) if each else None


def markdown(found: Results) -> str:
    """The tables."""
    rounds = len({label.partition("/")[0] for label in found["visits"]})
    failed = [f"`{label}`: {visit['failed']}" for label, visit in found["visits"].items() if "failed" in visit]
    honest = f"**Visits that failed:** {'; '.join(failed)}." if failed else "In every visit, all counts added up."
    return "\n\n".join(
        [
            f"{measured(found)} Medians of {rounds} rounds; in brackets how many times as fast Holdfast is (least and "
            f"most of a round). {honest}",
            table(("", *MEASURES.values()), _speeds(found)),
            "CPU of a job in µs: of everything on the server's side, and of it api and workers. What else the machine "
            "does moves it less than a rate.",
            table(("", *MEASURES), _costs(found)),
            table(("", "settings", "not guaranteed: that …"), _promises()),
        ]
    )


def split(found: Results) -> str:
    """Where the CPU of a job of Holdfast's goes, by process."""
    visits = [it for label, it in found["visits"].items() if label.endswith(f"/{HOLDFAST}") and "failed" not in it]
    if not visits:
        raise KeyError(HOLDFAST)
    names = {"own": "api and workers", "postgres": "PostgreSQL", "rabbitmq": "RabbitMQ", "redis": "Redis"}
    rows = [
        [MEASURES[name], *(number(median(visit[name]["cpu us"][process] for visit in visits)) for process in names)]
        for name in MEASURES
    ]
    return table(("µs of CPU a job", *names.values()), rows)


def picture(found: Results) -> str:
    """Bars: each peer's rate as a part of Holdfast's."""
    sides, left, wide = [side for side in TITLES if rates(found, side, "noop")], 230, 640
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {len(sides) * 39 + 34}" '
        f'font-family="sans-serif" font-size="11">{STYLE}'
    ]
    parts += _bars(found, sides, left, wide)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bars(found: Results, sides: list[str], left: int, wide: int) -> Iterator[str]:
    best = {name: max(median(rates(found, side, name).values()) for side in sides) for name in MEASURES}
    for index, (name, text) in enumerate(SHORT.items()):
        x = 6 + index * 210
        yield f'<rect x="{x}" y="6" width="11" height="11" fill="{COLOURS[name]}"/>'
        yield f'<text x="{x + 16}" y="16">{text}</text>'
    for row, side in enumerate(sides):
        y = 32 + row * 39
        yield f'<text x="{left - 8}" y="{y + 20}" text-anchor="end">{TITLES[side].strip("*")}</text>'
        for index, name in enumerate(MEASURES):
            value = median(rates(found, side, name).values())
            length = value / best[name] * (wide - left - 60)
            at = y + index * 11
            yield f'<rect x="{left}" y="{at}" width="{length:.1f}" height="9" fill="{COLOURS[name]}"/>'
            yield f'<text x="{left + length + 4:.1f}" y="{at + 8.5}" font-size="9">{number(value)}/s</text>'


def _speeds(found: Results) -> Iterator[list[str]]:
    for side, title in _visited(found):
        cells = []
        for name in MEASURES:
            seen = rates(found, side, name)
            times = ratio(found, side, name) if side != HOLDFAST else None
            more = f" (**{times[0]:.2f}×**, {times[1]:.2f}–{times[2]:.2f})" if times else ""
            cells.append(f"{number(median(seen.values()))}{more}" if seen else "failed")
        yield [title, *cells]


def _costs(found: Results) -> Iterator[list[str]]:
    """CPU for each job: of the server's side in all, and of its own processes."""
    for side, title in _visited(found):
        all_of_it = [visit for label, visit in found["visits"].items() if label.endswith(f"/{side}")]
        visits = [visit for visit in all_of_it if "failed" not in visit]
        cells = []
        for name in MEASURES:
            spent = [visit[name]["cpu us"] for visit in visits]
            if spent:
                whole, own = median(sum(it.values()) for it in spent), median(it["own"] for it in spent)
                cells.append(f"{number(whole)}, of it {number(own)}")
        yield [title, *(cells or ["failed"] * len(MEASURES))]


def _visited(found: Results) -> list[tuple[str, str]]:
    sides = {label.partition("/")[2] for label in found["visits"]}
    return [(side, title) for side, title in TITLES.items() if side in sides]


def _promises() -> Iterator[list[str]]:
    hosts = "its defaults, and `downstream_share` 1, for all webhooks go to one host"
    yield [TITLES[HOLDFAST], f"{hosts}; rate limits and shedding off, as at the peers", "–"]
    for peer in PEERS:
        yield [peer.title, peer.settings, "; ".join(peer.not_guaranteed)]
