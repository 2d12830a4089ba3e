"""What lies outside: breakers, limits, and what waits for them."""

from __future__ import annotations

from panels import board, lines, number

RATE = "[$__rate_interval]"


def build() -> object:
    """The dashboard."""
    return board(
        "downstreams",
        "Holdfast: downstreams",
        {
            "Now": (
                number(
                    "Breakers that are not closed", "short", 'sum(holdfast_breakers{state!="closed"})', bad_above=0.5
                ),
                number("Longest not closed", "s", "max(holdfast_breaker_not_closed_seconds)", bad_above=1800),
                number("Forced by an operator", "short", "sum(holdfast_breakers_overridden)", bad_above=0.5),
                number("Processes without Redis", "short", "sum(holdfast_breakers_alone)", bad_above=0.5),
            ),
            "Breakers": (
                lines("By state", "short", ("sum by (state) (holdfast_breakers)", "{{state}}"), stacked=True),
                lines(
                    "Moves, by where to",
                    "ops",
                    (
                        f"sum by (downstream, to) (rate(holdfast_breaker_transitions_total{RATE}))",
                        "{{downstream}} {{to}}",
                    ),
                ),
                lines(
                    "Not closed for, by family",
                    "s",
                    ("max by (downstream) (holdfast_breaker_not_closed_seconds)", "{{downstream}}"),
                ),
            ),
            "Calls": (
                lines(
                    "By family",
                    "ops",
                    (f"sum by (downstream) (rate(holdfast_downstream_calls_total{RATE}))", "{{downstream}}"),
                ),
                lines(
                    "That fail or are slow, of all",
                    "percentunit",
                    (
                        f'sum by (downstream) (rate(holdfast_downstream_calls_total{{result!="ok"}}{RATE})) / '
                        f"(sum by (downstream) (rate(holdfast_downstream_calls_total{RATE})) > 0)",
                        "{{downstream}}",
                    ),
                ),
                lines(
                    "Not made, by why",
                    "ops",
                    (f"sum by (reason) (rate(holdfast_downstream_refusals_total{RATE}))", "{{reason}}"),
                ),
            ),
            "Jobs that wait for somebody else": (
                lines(
                    "Parked attempts, by kind",
                    "ops",
                    (f'sum by (kind) (rate(holdfast_attempts_ended_total{{end="parked"}}{RATE}))', "{{kind}}"),
                ),
                lines(
                    "Retried attempts, by kind",
                    "ops",
                    (f'sum by (kind) (rate(holdfast_attempts_ended_total{{end="retried"}}{RATE}))', "{{kind}}"),
                ),
            ),
        },
    )
