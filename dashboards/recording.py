"""Recording rules: the ratios that the service levels and their burn rates are read from.

    level        of                                       target    budget
    api          requests answered without a 5xx          99.9 %    0.1 %
    queue wait   attempts that began within 30 s          99 %      1 %

A window without any event has no ratio, and alerts nobody.
"""

from __future__ import annotations

API_BUDGET = 0.001
WAIT_BUDGET = 0.01
WAIT_LIMIT = "30.0"
"""Seconds; a bucket of the histogram, as the exposition writes it."""
WINDOWS = ("5m", "30m", "1h", "6h", "3d")


def rules() -> list[dict[str, str]]:
    """Each as Prometheus writes it."""
    return [rule for window in WINDOWS for rule in (_api_errors(window), _slow_waits(window))]


def _api_errors(window: str) -> dict[str, str]:
    failed = f'(sum(rate(holdfast_http_requests_total{{status="5xx"}}[{window}])) or vector(0))'
    return {
        "record": f"holdfast:api_errors:ratio_rate{window}",
        "expr": f"{failed} / (sum(rate(holdfast_http_requests_total[{window}])) > 0)",
    }


def _slow_waits(window: str) -> dict[str, str]:
    metric = "holdfast_job_queue_wait_seconds"
    soon = f'sum(rate({metric}_bucket{{le="{WAIT_LIMIT}"}}[{window}]))'
    return {
        "record": f"holdfast:queue_wait_slow:ratio_rate{window}",
        "expr": f"1 - {soon} / (sum(rate({metric}_count[{window}])) > 0)",
    }
