"""What `test_isolation` calls in isolated children. Imported there by name, through PYTHONPATH."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from holdfast.domain.errors import Rejected, TryLater


def echo(request: Mapping[str, Any]) -> Any:
    return request["value"]


def pid(_: Mapping[str, Any]) -> int:
    return os.getpid()


def describe(_: Mapping[str, Any]) -> dict[str, Any]:
    limits = Path("/proc/self/limits").read_text()
    return {
        "environ": dict(os.environ),
        "core": next(line for line in limits.splitlines() if line.startswith("Max core")).split()[4],
        "oom": int(Path("/proc/self/oom_score_adj").read_text()),
        "session": os.getsid(0) == os.getpid(),
        "loaded": sorted(name for name in ("asyncio", "pydantic", "pyvips", "weasyprint") if name in sys.modules),
    }


def write_and_hang(request: Mapping[str, Any]) -> None:
    Path(request["file"]).write_text(str(os.getpid()))
    time.sleep(600)


def compute(_: Mapping[str, Any]) -> None:
    while True:
        pass


def hang_with_a_grandchild(request: Mapping[str, Any]) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(request["file"]).write_text(f"{os.getpid()} {process.pid}")
    time.sleep(600)


def abort(_: Mapping[str, Any]) -> None:
    print("a stray word before the end", flush=True)
    os.abort()


def abort_with_a_grandchild(request: Mapping[str, Any]) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(request["file"]).write_text(str(process.pid))
    os.abort()


def segfault(_: Mapping[str, Any]) -> None:
    ctypes.string_at(8)


def reach_out(_: Mapping[str, Any]) -> dict[str, str]:
    """What the kernel says to each way out, here and in a program that is started from here."""
    libc = ctypes.CDLL(None, use_errno=True)

    def called(*arguments: Any) -> None:
        if libc.syscall(*arguments) < 0:
            raise OSError(ctypes.get_errno(), "refused")

    ways = {
        "tcp": lambda: socket.socket(socket.AF_INET),
        "tcp6": lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM),
        "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "unix": lambda: socket.socket(socket.AF_UNIX),
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "name": lambda: socket.create_connection(("localhost", 80)),
        "io_uring": lambda: called(425, 4, ctypes.create_string_buffer(128)),
        "session": os.setsid,
        "group": lambda: os.setpgid(0, 0),
        "trace": lambda: called({"x86_64": 101, "aarch64": 117}[os.uname().machine], 16, os.getppid(), 0, 0),
        "namespace": lambda: called({"x86_64": 272, "aarch64": 97}[os.uname().machine], 0x10000000),
        "clone with a namespace": lambda: called({"x86_64": 56, "aarch64": 220}[os.uname().machine], 0x10000011, 0),
        "program": lambda: subprocess.run(
            [sys.executable, "-c", "import socket; socket.socket()"], check=True, stderr=subprocess.DEVNULL
        ),
        "program in a session": lambda: subprocess.run(["true"], check=True, start_new_session=True),
    }
    answers = {}
    for name, way in ways.items():
        try:
            way()
            answers[name] = "done"
        except Exception as error:
            answers[name] = type(error).__name__
    return answers


def still_works(_: Mapping[str, Any]) -> list[Any]:
    """What a handler may need all the same."""
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    left, right = socket.socketpair()
    left.send(b"x")
    ran = subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True, text=True, check=True)
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 1024)
    return [right.recv(1), ran.stdout.strip()]


def write_much(request: Mapping[str, Any]) -> None:
    with Path("much").open("wb") as file:
        for _ in range(request["size"] // 1024**2):
            file.write(bytes(1024**2))


def open_many(request: Mapping[str, Any]) -> int:
    return len([os.open("/dev/null", os.O_RDONLY) for _ in range(request["count"])])


def say_much(request: Mapping[str, Any]) -> bytes:
    return bytes(request["size"])


def forge(request: Mapping[str, Any]) -> None:
    """Send an answer past our own code, as a child that was taken over would; the socket is the first argument."""
    channel = int(Path("/proc/self/cmdline").read_bytes().split(b"\0")[-3])
    os.write(channel, request["frame"])
    time.sleep(600)


def quit_quietly(_: Mapping[str, Any]) -> None:
    os._exit(3)


def kill_from_outside(_: Mapping[str, Any]) -> None:
    os.kill(os.getpid(), 9)


def memory_bomb(_: Mapping[str, Any]) -> int:
    hoard = []
    while True:
        hoard.append(bytearray(16 * 1024 * 1024))


def native_memory_bomb(_: Mapping[str, Any]) -> None:
    """As GLib does it: a message, then an abort."""
    os.write(2, b"GLib-ERROR: failed to allocate 1073741824 bytes\n")
    os.abort()


def chatter(_: Mapping[str, Any]) -> int:
    for _number in range(20_000):
        print("warning: something that a library wants to say, on either stream")
        sys.stderr.write("and again\n")
    return 7


def reject(_: Mapping[str, Any]) -> None:
    raise Rejected("the picture is not one", error="NotAnImage")


def try_later(_: Mapping[str, Any]) -> None:
    raise TryLater("not now", error="Busy", after=timedelta(seconds=9))


def surprise(_: Mapping[str, Any]) -> None:
    raise ZeroDivisionError("nobody thought of this")


class _Hostile:
    def __init__(self, file: str) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (self._file,))


def hostile_answer(request: Mapping[str, Any]) -> Any:
    return {"pages": _Hostile(request["file"])}


def grow(_: Mapping[str, Any]) -> int:
    _HOARD.append(bytes(1) * 80_000_000)
    return os.getpid()


_HOARD: list[bytes] = []


def draw_text_with_both_engines(_: Mapping[str, Any]) -> dict[str, Any]:
    """WeasyPrint first, then libvips, in one process; and which libraries and fonts that took."""
    import io

    import pypdf
    import pyvips
    import weasyprint

    pdf = weasyprint.HTML(string='<p style="font-family: Arial">Holdfast').write_pdf()
    ink = pyvips.Image.text("Holdfast", font="sans bold 40").avg()
    weasyprint.HTML(string="<p>again").write_pdf()
    fonts = pypdf.PdfReader(io.BytesIO(pdf)).pages[0]["/Resources"]["/Font"]
    names = ("libpango-1.0", "libpangoft2-1.0", "libharfbuzz-subset", "libharfbuzz", "libglib-2.0")
    files = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line}
    libraries = {name: file for name in names for file in files if Path(file).name.startswith(f"{name}.so")}
    return {
        "ink": ink,
        "libraries": libraries,
        "font": " ".join(str(font.get_object()["/BaseFont"]) for font in fonts.values()),
    }
