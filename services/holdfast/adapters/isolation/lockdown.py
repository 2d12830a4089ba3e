"""What a child gives up before it reads a hostile byte: the network, other processes, its worker's secrets.

Invariant: whatever runs in a child or below it opens no socket, leaves no process behind that a kill of its group would
miss, and looks into no other process. The kernel refuses it (EPERM) by a seccomp filter, which nobody can take off
again; so it holds for a decoder that was taken over as well as for a template that found its way out of the sandbox.

    refused                                   because
    socket                                    no network and no local service; the one to the worker is inherited
    io_uring_setup                            it opens sockets without asking
    setsid, setpgid                           a process outside of the group would outlive the kill
    ptrace, process_vm_*, pidfd_getfd         the worker has the same user, and the passwords
    unshare, setns, clone with namespaces     they bring capabilities back
    mount and its kin, chroot, bpf, keyctl…   needed by nobody here, and a door if the worker runs as root

What it does not do: a child still reads files, because fonts and libraries are files, and may signal processes of its
user. Its rights on files are those of the user that the worker runs as: give it one of its own. On a processor other
than x86-64 and ARM64, or a kernel without seccomp, `confine` does nothing and says so.

Source: Documentation/userspace-api/seccomp_filter.rst of Linux, <linux/filter.h>.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import resource
import struct

_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2

_ALLOW, _REFUSE, _UNKNOWN = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in `struct seccomp_data`; both processors are little-endian, so an argument's low half comes first."""
_X32 = 0x40000000
"""Set in the numbers of x86-64's second set of system calls, which would get round the list."""
_NAMESPACES = 0x7E020000
"""CLONE_NEW* of `clone`."""

_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""AUDIT_ARCH_*, and the column of `_CALLS`."""
_CLONE, _CLONE3 = (56, 220), 435
"""clone3 takes its flags by a pointer that a filter cannot follow; told that there is none, libraries use clone."""
_CALLS = {
    "socket": (41, 198),
    "io_uring_setup": (425, 425),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
}


def confine() -> bool:
    """Take the above from this process and all that it starts; False where that is not possible."""
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    code = b"".join(struct.pack("=HBBI", *step) for step in _program(*machine))
    kept = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(kept))
    return bool(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(program), 0, 0) == 0)


def cap(file_bytes: int, open_files: int) -> None:
    """Limit the size of every file that is written, and how many are open at once; hard, so for good."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for which, limit in ((resource.RLIMIT_FSIZE, file_bytes), (resource.RLIMIT_NOFILE, open_files)):
        hard = resource.getrlimit(which)[1]
        least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(which, (least, least))


def refuse_inspection() -> None:
    """Keep other processes of this user out of this one's memory and environment (`/proc/<pid>/environ`).

    For a worker, whose environment holds the passwords that a child's must not. Costs debuggers their access, too;
    root keeps it. Children inherit it over a fork and lose it over an exec.
    """
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _program(architecture: int, column: int) -> list[tuple[int, int, int, int]]:
    """Instructions of classic BPF: code, jump if true, jump if false, operand; jumps count from the next one."""
    refused = [numbers[column] for numbers in _CALLS.values()]
    listed = len(refused)
    checks = [(_EQUAL, listed - place + 4, 0, number) for place, number in enumerate(refused)]
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, listed + 5, 0, _X32),
        *checks,
        (_EQUAL, 5, 0, _CLONE3),
        (_EQUAL, 0, 2, _CLONE[column]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 1, 0, _NAMESPACES),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _UNKNOWN),
    ]


_libc = ctypes.CDLL(None, use_errno=True)
