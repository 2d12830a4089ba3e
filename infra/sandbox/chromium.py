"""A headless Chromium for tests and for the second PDF engine: Debian packages in a folder of their own.

Invariant: a folder is complete (its manifest is written last) and never changes after that, so several homes can
share it; nothing is installed on the host. The packages are those of the host's own suite, because Chromium runs
beside the host's C library. It is fetched by those who ask for it (`make chromium`, `make test`), not by `up`.

`chromium-headless-shell` is the small build without a window, the one that browser drivers use for headless work.
The program to run is a wrapper that names its libraries and fonts, so its path is all that anybody has to know.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from . import native
from .apt import Apt, host_suite, package_version, unpack
from .errors import SandboxError
from .home import Home, exclusive
from .progress import step

PACKAGES = ("chromium-headless-shell", "fontconfig-config", "fonts-dejavu-core", "fonts-liberation")
NOT_UNPACKED = (
    *native.NOT_UNPACKED,
    *("libllvm", "libz3", "libgl1", "libglx", "libglapi", "libicu", "libxml2", "libedit", "libsensors"),
    *("xkb-data", "lsb-base", "sysvinit-utils"),
)
"""What the host has in its own version, and what only windows, graphics cards and installation scripts need."""
VARIABLE = "HOLDFAST_CHROMIUM"

_MANIFEST = "holdfast-manifest.json"
_PROGRAM = "usr/lib/chromium/chromium-headless-shell"
_WRAPPER = """\
#!/bin/sh
# Chromium with the libraries and fonts that were unpacked beside it.
LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
FONTCONFIG_FILE="{fonts}"
export LD_LIBRARY_PATH FONTCONFIG_FILE
exec "{program}" "$@"
"""


def ensure(home: Home) -> Path:
    """The program. Downloads about 160 MB the first time; later calls take no time and no network."""
    root = home.cache / f"chromium-{_recipe()}"
    if not (root / _MANIFEST).exists():
        native.require_apt("A headless Chromium is not there")
        with exclusive(home.cache / "chromium.lock"):
            if not (root / _MANIFEST).exists():  # another home may have built it while this one waited
                _build(home, root)
    return root / "chromium"


def _build(home: Home, root: Path) -> None:
    partial = root.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    apt = Apt(home.cache / "chromium-apt")
    try:
        apt.update()
        files = [file for file in apt.download(PACKAGES) if not file.name.startswith(NOT_UNPACKED)]
        with step(f"unpacked Chromium into {root}"):
            unpack(files, partial)
            _write_wrapper(partial, root)
            (partial / _MANIFEST).write_text(json.dumps(dict(map(package_version, files)), indent=2, sort_keys=True))
            shutil.rmtree(root, ignore_errors=True)
            partial.rename(root)
    finally:
        apt.clean()
        shutil.rmtree(partial, ignore_errors=True)


def _write_wrapper(partial: Path, root: Path) -> None:
    """Into the folder as it is now, with the paths that it will have."""
    if not (partial / _PROGRAM).exists():
        raise SandboxError("Chromium cannot be used", f"its package does not hold {_PROGRAM}")
    (partial / "fonts.conf").write_text(native.fonts_conf(root))
    folders = [*native.library_folders(partial), *(partial / "usr/lib").glob("*-linux-*/pulseaudio")]
    libraries = ":".join(str(root / folder.relative_to(partial)) for folder in folders)
    wrapper = partial / "chromium"
    wrapper.write_text(_WRAPPER.format(libraries=libraries, fonts=root / "fonts.conf", program=root / _PROGRAM))
    wrapper.chmod(0o755)


def _recipe() -> str:
    """Changes whenever the content of the folder would."""
    text = json.dumps([PACKAGES, NOT_UNPACKED, _WRAPPER, os.uname().machine])
    return f"{host_suite()}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
