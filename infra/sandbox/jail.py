"""Become a process inside a root folder: own mount namespace, chroot, an ordinary uid, then exec.

Run as `python3 -I jail.py '<json of Jail>'`; it execs, so the pid stays the one that the caller knows.

Invariant: mounts happen only in a namespace made here, so they end with the process and never show on the
host. Root gives up its uid; an ordinary user keeps theirs (a user namespace maps it to itself, which grants
the rights to mount and chroot until the exec and not a moment longer). This file imports nothing of the
package, because it also has to run alone.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
from dataclasses import asdict, dataclass, field

# <linux/sched.h>, <sys/mount.h>, <linux/prctl.h>
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
PR_SET_NO_NEW_PRIVS = 38
EXIT_NO_NAMESPACE = 71


@dataclass(frozen=True)
class Jail:
    """Where to run what, as whom. `binds` maps a folder of the host to its place in the root folder."""

    root: str
    argv: list[str]
    uid: int
    gid: int
    binds: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"

    def to_json(self) -> str:
        """The argument of this program."""
        return json.dumps(asdict(self))


def enter(jail: Jail) -> None:
    """Never returns: the process becomes `jail.argv`."""
    _leave_namespaces(jail)
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    for system in ("/proc", "/dev"):
        _mount(system, jail.root + system, None, MS_BIND | MS_REC)
    _mount("tmpfs", jail.root + "/tmp", "tmpfs", MS_NOSUID | MS_NODEV)  # noqa: S108
    os.chmod(jail.root + "/tmp", 0o1777)  # noqa: PTH101, S103, S108 (a /tmp of its own, gone with the process)
    for source, target in jail.binds.items():
        _mount(source, jail.root + target, None, MS_BIND)
    _raise_open_files()
    os.chroot(jail.root)
    os.chdir(jail.cwd)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(jail.gid)
        os.setuid(jail.uid)
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.umask(0o077)
    os.execve(jail.argv[0], jail.argv, dict(os.environ))  # noqa: S606


def _leave_namespaces(jail: Jail) -> None:
    if os.geteuid() == 0:
        _check(_libc.unshare(CLONE_NEWNS), "make a mount namespace")
        return
    _check(_libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), "make a user namespace")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{jail.uid} {jail.uid} 1")
    _write("/proc/self/gid_map", f"{jail.gid} {jail.gid} 1")


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    result = _libc.mount(source.encode(), target.encode(), kind.encode() if kind else None, flags, None)
    _check(result, f"mount {source} at {target}")


def _check(result: int, action: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {action}: {os.strerror(number)}")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:  # noqa: PTH123 (a file of /proc)
        file.write(text)


def _raise_open_files() -> None:
    """A broker needs many descriptors; the hard limit is what the host allows."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


_libc = ctypes.CDLL(None, use_errno=True)

if __name__ == "__main__":
    try:
        enter(Jail(**json.loads(sys.argv[1])))
    except OSError as error:
        print(f"jail: {error}", file=sys.stderr)
        sys.exit(EXIT_NO_NAMESPACE)
