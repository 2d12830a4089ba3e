"""The two service levels, what is left of their budgets, and how fast they burn."""

from __future__ import annotations

from panels import Query, board, lines, number
from recording import API_BUDGET, WAIT_BUDGET, WINDOWS

API, WAIT = "holdfast:api_errors:ratio_rate", "holdfast:queue_wait_slow:ratio_rate"
RANGE = "[$__range]"


def _burn(name: str, budget: float) -> list[Query]:
    return [(f"{name}{window} / {budget}", window) for window in WINDOWS]


def build() -> object:
    """The dashboard."""
    failed = f'(sum(increase(holdfast_http_requests_total{{status="5xx"}}{RANGE})) or vector(0))'
    errors = f"{failed} / (sum(increase(holdfast_http_requests_total{RANGE})) > 0)"
    soon = f'sum(increase(holdfast_job_queue_wait_seconds_bucket{{le="30.0"}}{RANGE}))'
    slow = f"1 - {soon} / (sum(increase(holdfast_job_queue_wait_seconds_count{RANGE})) > 0)"
    text = "1 is a budget that lasts exactly its 30 days; 14.4 pages."
    return board(
        "slo",
        "Holdfast: service levels",
        {
            "Within the range that is shown": (
                number("Requests answered without a 5xx (99.9 %)", "percentunit", f"1 - ({errors})"),
                number("Left of the error budget", "percentunit", f"1 - ({errors}) / {API_BUDGET}"),
                number("Attempts begun within 30 s (99 %)", "percentunit", f"1 - ({slow})"),
                number("Left of the wait budget", "percentunit", f"1 - ({slow}) / {WAIT_BUDGET}"),
            ),
            "Burn rates": (
                lines("Error budget: how many times too fast", "short", *_burn(API, API_BUDGET), text=text),
                lines("Wait budget: how many times too fast", "short", *_burn(WAIT, WAIT_BUDGET), text=text),
            ),
        },
    )
