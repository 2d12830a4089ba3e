"""The tables and pictures of the load test, and of the image engine beside sharp."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from campaign.panel import HIGH, WIDE, Panel, document, legend

from .results import Results, measured, number, table

BLUE, GREEN, ORANGE, GREY, RED = "#3b82f6", "#2da44e", "#d9822b", "#8a8a8a", "#cf4f4f"
LATENCIES = {"p50": GREEN, "p95": BLUE, "p99": ORANGE}
BINS = 24
"""Points of a curve over the offered load."""
Points = list[tuple[float, float]]


def steady(enqueue: Results, with_worker: Results) -> str:
    """500 a second: alone, and beside a worker."""
    rows = [
        _latencies("the api alone", enqueue),
        _latencies("while a worker settles them", with_worker),
    ]
    head = ("500 a second, open loop", "accepted", "refused", "p50", "p95", "p99", "worst", "cores taken")
    return f"{measured(with_worker)}\n\n{table(head, rows)}"


def shapes(ramp: Results, burst: Results, soak: Results) -> str:
    """What a ramp, a burst and a soak came to."""
    rows = [
        [f"ramp: nothing to {ramp['top']:,} a second in {ramp['lasting']:g} s", *_load(ramp)],
        [f"burst: {burst['rate']:,} a second for {burst['lasting']:g} s", *_load(burst)],
        [f"soak: {soak['rate']:,} a second for {soak['lasting']:g} s", *_load(soak)],
    ]
    head = ("", "accepted", "refused (503)", "p99 of accepted", "most jobs waiting", "drained after")
    grown = ", ".join(
        f"{name} {begin:.0f} → {end:.0f}" for name, (begin, end) in soak["memory"].items() if name != "generator"
    )
    return f"{measured(ramp)}\n\n{table(head, rows)}\n\nMemory over the soak, in MB: {grown}."


def time(enqueue: Results, burst: Results, drain: Results) -> str:
    """What is in the picture of times; it needs all three."""
    return (
        f"The picture: {enqueue['accepted']:,} jobs at 500 a second; a burst of {burst['rate']:,} a second; "
        f"{drain['jobs']:,} no-ops, settled at {number(drain['a second'])} a second.\n\n"
        "![Latency over time, a burst, a drain](images/load-time.svg)"
    )


def mixed(found: Results) -> str:
    """12,000 a minute of all kinds."""
    mix = ", ".join(f"{100 * share:.0f} % `{kind}`" for kind, share in found["mix"].items())
    return (
        f"{measured(found)} {mix}. Offered were 12,000 a minute for {found['lasting']:g} s; "
        f"**{found['jobs a minute']:,} jobs a minute** were settled, the last {found['drained after']:.1f} s after the "
        f"end of the load; at most {found['most waiting']:,} waited. Accepted in p50 {found['p50']:.1f} ms, p99 "
        f"{found['p99']:.1f} ms; {found['refused']:,} refused. Cores taken: {_cores(found)}."
    )


def memory(rest: Results) -> str:
    """Resident megabytes."""
    begin, end = rest["after the start"], rest["after 500 jobs"]
    rows = [[name, f"{begin.get(name, '–')}", f"{end.get(name, '–')}"] for name in {**begin, **end}]
    return f"{measured(rest)}\n\n{table(('resident MB', 'after the start', 'after 500 jobs'), rows)}"


def growth(found: Results) -> str:
    """A million jobs against none."""
    rows = [
        [name, *(number(found[size][name]) for size in ("empty", "full")), f"{found['ratio'][name]:.2f}×"]
        for name in ("enqueue", "noop")
    ]
    head = ("a second", "empty ledger", f"{found['jobs']:,} jobs in it", "ratio")
    return f"{measured(found)}\n\n{table(head, rows)}"


def image(found: Results) -> str:
    """Ours and sharp's."""
    ours, theirs = found["cpu ms"]["ours"], found["cpu ms"]["sharp"]
    least, most = found["ratios"][0], found["ratios"][-1]
    return (
        f"{measured(found)} 12 megapixels to 800 pixels wide, JPEG at quality 80, one thread, CPU of one picture: ours "
        f"**{ours:.1f} ms**, sharp {found['sharp']} {theirs:.1f} ms; **{found['ratio']:.2f} times** (median of "
        f"{len(found['ratios'])} rounds, {least:.2f} to {most:.2f}). The results have {found['bytes']['ours']:,} and "
        f"{found['bytes']['sharp']:,} bytes."
    )


def load_picture(ramp: Results) -> str:
    """The ramp: latency and throughput against what was offered."""
    bins = _bins(ramp["by second"])
    until = max(each["sent"] for each in bins)
    panel = Panel(0, 0, "Accepted jobs: latency in ms, by requests offered a second", until, 10_000, 1, True, "")
    answered = [it for it in bins if it["accepted"]]
    slow = [panel.line([(it["sent"], it[name]) for it in answered], colour) for name, colour in LATENCIES.items()]
    top = max(each["sent"] for each in bins)
    second = Panel(WIDE, 0, "Answers a second, by requests offered a second", until, top, unit="")
    fast = [
        *second.frame(),
        second.line([(0, 0), (until, until)], GREY, dashed=True),
        second.line([(it["sent"], it["accepted"]) for it in bins], BLUE),
        second.line([(it["sent"], it["refused"]) for it in bins], RED),
    ]
    names = LATENCIES | {"accepted": BLUE, "refused": RED, "offered": GREY}
    return document(2 * WIDE, HIGH + 16, [*panel.frame(), *slow, *fast, *legend(HIGH + 8, names)])


def time_picture(enqueue: Results, burst: Results, drain: Results) -> str:
    """Latency over time at 500 a second, the backlog of a burst, and the curve of a drain."""
    seconds = enqueue["by second"]
    first = Panel(0, 0, "500 a second: latency in ms, by second", seconds[-1]["second"] + 1, _top(seconds), 1, True)
    parts = [*first.frame()]
    parts += [first.line([(it["second"] + 0.5, it[name]) for it in seconds], LATENCIES[name]) for name in LATENCIES]
    parts += _curve(WIDE, "A burst: jobs waiting, by second", burst["curve"], burst["by second"])
    parts += _curve(2 * WIDE, f"{drain['jobs']:,} no-ops drained by four workers: jobs waiting", drain["curve"])
    names = LATENCIES | {"jobs waiting": BLUE, "accepted a second": GREY}
    return document(3 * WIDE, HIGH + 16, [*parts, *legend(HIGH + 8, names)])


def _curve(left: float, title: str, curve: Sequence[Any], seconds: Sequence[Results] = ()) -> Iterator[str]:
    until = max(1.0, curve[-1][0])
    top = max([1, *(left_over for _, left_over in curve), *(it["accepted"] for it in seconds)])
    panel = Panel(left, 0, title, until, top)
    yield from panel.frame()
    if seconds:
        yield panel.line([(it["second"] + 0.5, it["accepted"]) for it in seconds], GREY, dashed=True)
    yield panel.line([(at, jobs) for at, jobs in curve], BLUE)


def _bins(seconds: Sequence[Results]) -> list[Results]:
    """Seconds of about the same load together: their means."""
    ordered = sorted(seconds, key=lambda it: it["sent"])
    size = max(1, len(ordered) // BINS)
    groups = [ordered[at : at + size] for at in range(0, len(ordered), size)]
    names = ("sent", "accepted", "refused", "p50", "p95", "p99")
    return [{name: _mean(it[name] for it in group if it["accepted"]) for name in names} for group in groups]


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known) if known else 0.0


def _top(seconds: Sequence[Results]) -> float:
    worst = max(it["p99"] for it in seconds)
    return next(top for top in (10, 100, 1_000, 10_000, 100_000) if top >= worst)


def _latencies(title: str, found: Results) -> list[str]:
    waits = [f"{found[name]:.1f} ms" for name in ("p50", "p95", "p99", "worst")]
    return [title, f"{found['accepted']:,}", f"{found['refused']:,}", *waits, _cores(found)]


def _load(found: Results) -> list[str]:
    return [
        f"{found['accepted']:,}",
        f"{found['refused']:,}",
        f"{found['p99']:.1f} ms",
        f"{found['most waiting']:,}",
        f"{found['drained after']:.1f} s",
    ]


def _cores(found: Results) -> str:
    taken = sorted(found["cores"].items(), key=lambda it: -it[1])
    return ", ".join(f"{name} {value:.2f}" for name, value in taken if value >= 0.01)
