"""Tags of scalable targets and budgets: moto takes none, and the provider reads them after it has made them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.budgets.responses import BudgetsResponse

from standin.filled import answers, body, wraps

TAGS: defaultdict[str, dict[str, str]] = defaultdict(dict)
"""By ARN."""


@answers("application-autoscaling", "ListTagsForResource")
def _scaling_tags(_: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Missing: the tags of a scalable target."""
    return {"Tags": TAGS[asked["ResourceARN"]]}


@answers("application-autoscaling", "TagResource")
def _tag_scaling(_: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Missing: tagging a scalable target."""
    TAGS[asked["ResourceARN"]].update(asked["Tags"])
    return {}


@wraps(ApplicationAutoScalingResponse, "register_scalable_target")
def _tagged_when_registered(original: Callable[..., Any], request: Any) -> Any:
    """Forgotten: the tags that a scalable target is registered with."""
    answer, asked = original(request), body(request)
    (target,) = request.applicationautoscaling_backend.describe_scalable_targets(
        asked["ServiceNamespace"], [asked["ResourceId"]], asked["ScalableDimension"]
    )
    TAGS[target.arn].update(asked.get("Tags") or {})
    return answer


@answers("budgets", "ListTagsForResource")
def _budget_tags(_: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Missing: the tags of a budget."""
    return {"ResourceTags": [{"Key": key, "Value": value} for key, value in TAGS[asked["ResourceARN"]].items()]}


@wraps(BudgetsResponse, "create_budget")
def _tagged_when_made(original: Callable[..., Any], request: Any) -> Any:
    """Forgotten: the tags that a budget is made with."""
    asked = body(request)
    arn = f"arn:aws:budgets::{asked['AccountId']}:budget/{asked['Budget']['BudgetName']}"
    TAGS[arn].update({tag["Key"]: tag["Value"] for tag in asked.get("ResourceTags") or []})
    return original(request)


SUBSCRIBERS: dict[tuple[str, float], list[dict[str, str]]] = {}
"""By budget and threshold."""


@wraps(BudgetsResponse, "create_notification")
def _subscribed(original: Callable[..., Any], request: Any) -> Any:
    """Forgotten: who is told by a budget's notification."""
    asked = body(request)
    SUBSCRIBERS[asked["BudgetName"], asked["Notification"]["Threshold"]] = asked.get("Subscribers") or []
    return original(request)


@answers("budgets", "DescribeSubscribersForNotification")
def _subscribers(_: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Missing: who is told by a budget's notification."""
    return {"Subscribers": SUBSCRIBERS[asked["BudgetName"], asked["Notification"]["Threshold"]]}
