"""What a child process says on its standard output and error.

Invariant: the child never waits for us to read it, and of what it says only the end is kept.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import suppress

_KEPT, _EVIDENCE = 8 * 1024, 2000
"""Bytes of the end: that are kept, and that a failure quotes."""


class Output:
    """The output of a process that was started with a pipe, read as it comes by the running event loop."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 (it is a pipe)
        self._pipe = process.stdout
        self._loop = asyncio.get_running_loop()
        self._kept = bytearray()
        os.set_blocking(self._pipe.fileno(), False)
        self._loop.add_reader(self._pipe.fileno(), self._read)

    def end(self) -> bytes:
        """The last 8 KiB of it until now."""
        self._read()
        return bytes(self._kept)

    def evidence(self) -> str:
        """The part of it that a failure quotes."""
        return self.end()[-_EVIDENCE:].decode(errors="replace")

    def close(self) -> None:
        """Hear no more."""
        if not self._pipe.closed:
            with suppress(RuntimeError):  # the loop is closed already
                self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()

    def _read(self) -> None:
        if self._pipe.closed:
            return
        with suppress(BlockingIOError):
            while chunk := os.read(self._pipe.fileno(), 65536):
                self._kept += chunk
                del self._kept[:-_KEPT]
            self._loop.remove_reader(self._pipe.fileno())
