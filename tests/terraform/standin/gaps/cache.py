"""ElastiCache: replication groups with members, and parameter groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult
from moto.elasticache.models import ElastiCacheBackend
from moto.elasticache.responses import ElastiCacheResponse

from standin.filled import lacking, wraps

OF_A_CLUSTER = [*inspect.signature(ElastiCacheBackend.create_cache_cluster).parameters][1:]
OF_A_GROUP = inspect.signature(ElastiCacheBackend.create_replication_group)


@wraps(ElastiCacheBackend, "create_replication_group")
def _with_members(original: Callable[..., Any], backend: Any, *args: Any, **kwargs: Any) -> Any:
    """Missing: the members of a replication group, which the provider reads; and their number is ignored."""
    if kwargs.get("num_cache_clusters") and not kwargs.get("num_node_groups"):
        kwargs["replicas_per_node_group"] = kwargs["num_cache_clusters"] - 1
    group = original(backend, *args, **kwargs)
    given = OF_A_GROUP.bind(backend, *args, **kwargs).arguments
    for member in group.member_clusters:
        own = {
            "cache_cluster_id": member,
            "replication_group_id": group.replication_group_id,
            "num_cache_nodes": 1,
            "tags": [],
            "log_delivery_configurations": [],
        }
        backend.create_cache_cluster(**{name: given.get(name) for name in OF_A_CLUSTER} | own)
        cluster = backend.cache_clusters[member]
        cluster.at_rest_encryption_enabled = given.get("at_rest_encryption_enabled")
        cluster.transit_encryption_mode = "required" if given.get("transit_encryption_enabled") else None
        cluster.security_groups = [
            {"security_group_id": group_id, "status": "active"} for group_id in given.get("security_group_ids") or []
        ]
    return group


@wraps(ElastiCacheBackend, "delete_replication_group")
def _gone(original: Callable[..., Any], backend: Any, *args: Any, **kwargs: Any) -> Any:
    """Otherwise: a deleted replication group stays in the state `deleting` for ever."""
    group = original(backend, *args, **kwargs)
    for member in group.member_clusters:
        backend.cache_clusters.pop(member, None)
    backend.replication_groups.pop(group.replication_group_id, None)
    return group


@lacking(ElastiCacheResponse)
def delete_cache_subnet_group(request: Any) -> ActionResult:
    """Missing: the deletion of a subnet group."""
    request.elasticache_backend.cache_subnet_groups.pop(request._get_param("CacheSubnetGroupName"), None)
    return EmptyResult()


GROUPS: dict[str, dict[str, Any]] = {}
PARAMETERS: dict[str, dict[str, str]] = {}
"""Parameter groups of ElastiCache, of which moto has none: what they are, and what the user set in them."""

TAGS: dict[str, list[dict[str, str]]] = {}
"""Of parameter groups, by ARN."""


@wraps(ElastiCacheResponse, "list_tags_for_resource")
def _tags(original: Callable[..., Any], request: Any) -> Any:
    """Missing: the tags of a parameter group."""
    arn = request._get_param("ResourceName")
    return ActionResult({"TagList": TAGS[arn]}) if arn in TAGS else original(request)


@lacking(ElastiCacheResponse)
def create_cache_parameter_group(request: Any) -> ActionResult:
    """Missing: parameter groups."""
    name = request._get_param("CacheParameterGroupName")
    arn = f"arn:aws:elasticache:{request.region}:{request.current_account}:parametergroup:{name}"
    family, description = request._get_param("CacheParameterGroupFamily"), request._get_param("Description")
    GROUPS[name] = {
        "CacheParameterGroupName": name,
        "CacheParameterGroupFamily": family,
        "Description": description,
        "IsGlobal": False,
        "ARN": arn,
    }
    PARAMETERS[name] = {}
    TAGS[arn] = request._get_param("Tags") or []
    return ActionResult({"CacheParameterGroup": GROUPS[name]})


@lacking(ElastiCacheResponse)
def describe_cache_parameter_groups(request: Any) -> ActionResult:
    """Missing: parameter groups."""
    name = request._get_param("CacheParameterGroupName")
    if name not in GROUPS:
        raise ServiceException("CacheParameterGroupNotFound", f"no parameter group {name}")
    return ActionResult({"CacheParameterGroups": [GROUPS[name]]})


@lacking(ElastiCacheResponse)
def modify_cache_parameter_group(request: Any) -> ActionResult:
    """Missing: parameter groups."""
    name = request._get_param("CacheParameterGroupName")
    given = request._get_param("ParameterNameValues")
    PARAMETERS[name].update({one["ParameterName"]: one["ParameterValue"] for one in given})
    return ActionResult({"CacheParameterGroupName": name})


@lacking(ElastiCacheResponse)
def describe_cache_parameters(request: Any) -> ActionResult:
    """Missing: parameter groups."""
    values = PARAMETERS[request._get_param("CacheParameterGroupName")]
    told = [{"ParameterName": key, "ParameterValue": value, "Source": "user"} for key, value in values.items()]
    return ActionResult({"Parameters": told, "CacheNodeTypeSpecificParameters": []})


@lacking(ElastiCacheResponse)
def delete_cache_parameter_group(request: Any) -> ActionResult:
    """Missing: parameter groups."""
    name = request._get_param("CacheParameterGroupName")
    GROUPS.pop(name, None)
    PARAMETERS.pop(name, None)
    return EmptyResult()
