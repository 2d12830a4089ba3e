"""RDS: what moto forgets of an instance and of a parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.rds.responses import RDSResponse

from standin.filled import wraps


@wraps(RDSResponse, "create_db_instance")
def _with_insights(original: Callable[..., Any], request: Any) -> Any:
    """Forgotten: Performance Insights, its key, and for how long it remembers."""
    answer = original(request)
    database = request.backend.databases[request.params["DBInstanceIdentifier"]]
    database.performance_insights_enabled = request.params.get("EnablePerformanceInsights")
    database.performance_insights_kms_key_id = request.params.get("PerformanceInsightsKMSKeyId")
    database.performance_insights_retention_period = request.params.get("PerformanceInsightsRetentionPeriod")
    return answer


@wraps(RDSResponse, "describe_db_parameters")
def _set_by_the_user(original: Callable[..., Any], request: Any) -> Any:
    """Forgotten: that a parameter was set by the user, without which the provider does not see it."""
    wanted = {"db_parameter_group_name": request.params.get("DBParameterGroupName")}
    for group in request.backend.describe_db_parameter_groups(wanted):
        for parameter in group.parameters.values():
            parameter.setdefault("Source", "user")
    return original(request)
