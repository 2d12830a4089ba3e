"""EFS: backups, and the deletion of a policy."""

from __future__ import annotations

from typing import Any

from moto.efs.models import FileSystem

from standin.filled import answers

BACKUP_POLICIES: dict[str, dict[str, str]] = {}
"""By file system."""
_policy_of = FileSystem.backup_policy.fget  # type: ignore[attr-defined]
FileSystem.backup_policy = property(  # type: ignore[assignment]
    lambda system: BACKUP_POLICIES.get(system.file_system_id) or _policy_of(system)
)


@answers("efs", "PutBackupPolicy")
def _put_backup_policy(request: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Missing: setting the backup policy of a file system."""
    BACKUP_POLICIES[request._get_param("FileSystemId")] = asked["BackupPolicy"]
    return {"BackupPolicy": asked["BackupPolicy"]}


@answers("efs", "DeleteFileSystemPolicy")
def _delete_file_system_policy(request: Any, _: dict[str, Any]) -> dict[str, Any]:
    """Missing: the deletion of a file system's policy."""
    request.efs_backend.file_systems_by_id[request._get_param("FileSystemId")].file_system_policy = None
    return {}
