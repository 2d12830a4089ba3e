"""h2load, the load generator of nghttp2, for `make overload`: the host's, or a Debian package in a folder of its own.

It is fetched by those who ask for it. The folder, and how it comes to be complete, is that of `unpacked`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from . import native
from .errors import SandboxError
from .home import Home
from .unpacked import Packages
from .unpacked import ensure as unpack_once

VARIABLE = "H2LOAD"
_PROGRAM = "usr/bin/h2load"
_WRAPPER = """\
#!/bin/sh
# h2load with the libraries that were unpacked beside it.
LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
export LD_LIBRARY_PATH
exec "{program}" "$@"
"""


def ensure(home: Home) -> Path:
    """The program. Downloads about 16 MB the first time, where the host has none."""
    found = shutil.which("h2load")
    return Path(found) if found else unpack_once(GENERATOR, GENERATOR.folder(home.cache, "h2load")) / "h2load"


def _write_wrapper(partial: Path, root: Path) -> None:
    """Into the folder as it is now, with the paths that it will have."""
    if not (partial / _PROGRAM).exists():
        raise SandboxError("h2load cannot be used", f"its package does not hold {_PROGRAM}")
    libraries = ":".join(str(root / folder.relative_to(partial)) for folder in native.library_folders(partial))
    wrapper = partial / "h2load"
    wrapper.write_text(_WRAPPER.format(libraries=libraries, program=root / _PROGRAM))
    wrapper.chmod(0o755)


GENERATOR = Packages("h2load", ("nghttp2-client",), finish=_write_wrapper, recipe=_WRAPPER)
