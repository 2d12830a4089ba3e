"""EC2: what moto forgets of the rules of a security group."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from moto.ec2.models.security_groups import SecurityGroupRule

from standin.filled import wraps

RULE = inspect.signature(SecurityGroupRule.__init__)


@wraps(SecurityGroupRule, "__init__")
def _described(original: Callable[..., Any], rule: Any, *args: Any, **kwargs: Any) -> None:
    """Forgotten: the description of a rule whose other end is a group or a prefix list instead of a range."""
    original(rule, *args, **kwargs)
    rule.prefix_list = RULE.bind(rule, *args, **kwargs).arguments.get("prefix_list_id") or {}


def _description(rule: Any) -> str | None:
    for end in (rule.ip_range, rule.source_group, rule.prefix_list):
        if end and end.get("Description"):
            return str(end["Description"])
    return None


SecurityGroupRule.description = property(_description)  # type: ignore[assignment]
