"""A headless Chromium for tests and for the second PDF engine: Debian packages in a folder of their own.

It is fetched by those who ask for it (`make chromium`, `make test`), not by `up`.

`chromium-headless-shell` is the small build without a window, the one that browser drivers use for headless work.
The program to run is a wrapper that names its libraries and fonts, so its path is all that anybody has to know.
"""

from __future__ import annotations

from pathlib import Path

from . import native
from .errors import SandboxError
from .home import Home
from .unpacked import Packages
from .unpacked import ensure as unpack_once

PACKAGES = ("chromium-headless-shell", "fontconfig-config", "fonts-dejavu-core", "fonts-liberation")
NOT_UNPACKED = (
    *("libllvm", "libz3", "libgl1", "libglx", "libglapi", "libicu", "libxml2", "libedit", "libsensors"),
    *("xkb-data", "lsb-base", "sysvinit-utils"),
)
"""What only windows, graphics cards and installation scripts need."""
VARIABLE = "HOLDFAST_CHROMIUM"

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
    return unpack_once(BROWSER, BROWSER.folder(home.cache, "chromium")) / "chromium"


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


BROWSER = Packages("Chromium", PACKAGES, NOT_UNPACKED, _write_wrapper, _WRAPPER)
