"""What every dashboard is made of: one data source, one look, and panels of one line each.

A panel's title says what is good or bad about it where the number alone does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
)

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
COLUMNS = 24
HEIGHT = 7

Query = tuple[str, str]
"""A PromQL expression and the legend of its series, `{{queue}}`."""


def board(uid: str, title: str, rows: dict[str, Sequence[Any]]) -> dashboard.Dashboard:
    """A dashboard of named rows of panels, refreshed every ten seconds over the last hour."""
    made = (
        dashboard.Dashboard(title)
        .uid(f"holdfast-{uid}")
        .tags(["holdfast"])
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .editable()
        .link(
            dashboard.DashboardLink("Holdfast").tags(["holdfast"]).as_dropdown(True).include_vars(True).keep_time(True)
        )
    )
    for name, panels in rows.items():
        made = made.with_row(dashboard.Row(name))
        for panel in panels:
            made = made.with_panel(panel.span(COLUMNS // len(panels)))
    return made


def lines(title: str, unit: str, *queries: Query, text: str = "", stacked: bool = False) -> timeseries.Panel:
    """Lines over time; a unit is one of Grafana's (`s`, `reqps`, `short`, `percentunit`, `bytes`)."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .height(HEIGHT)
        .line_width(1)
        .fill_opacity(25 if stacked else 8)
        .show_points(models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(models.LegendDisplayMode.LIST)
            .placement(models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(models.TooltipDisplayMode.MULTI).sort(models.SortOrder.DESCENDING))
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(models.StackingMode.NORMAL))
    for query in queries:
        panel = panel.with_target(_target(query))
    return panel


def number(title: str, unit: str, expr: str, *, bad_above: float | None = None, text: str = "") -> stat.Panel:
    """One number, red from just above `bad_above`."""
    steps = [Threshold(value=None, color="green")]
    if bad_above is not None:
        steps.append(Threshold(value=bad_above, color="red"))
    return (
        stat.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .unit(unit)
        .height(4)
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .graph_mode(models.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_target((expr, "")))
    )


def share(metric: str, by: str, selector: str = "", quantiles: Sequence[float] = (0.5, 0.95, 0.99)) -> list[Query]:
    """The quantiles of a histogram over all its series, or by a label."""
    extra = f", {by}" if by else ""
    legend = f" {{{{{by}}}}}" if by else ""
    return [
        (
            f"histogram_quantile({q}, sum by (le{extra}) (rate({metric}_bucket{selector}[$__rate_interval])))",
            f"p{q * 100:g}{legend}",
        )
        for q in quantiles
    ]


def _target(query: Query) -> prometheus.Dataquery:
    expr, legend = query
    return prometheus.Dataquery().expr(expr).legend_format(legend)
