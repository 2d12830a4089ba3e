"""Pango, HarfBuzz and fonts for WeasyPrint, where the host lacks them: Debian packages in a private folder.

Invariant: the folder is complete (its manifest is written last) or not there; nothing is installed on the host.
The packages are those of the host's own suite, because they run beside the host's C library, which is left out.
"""

from __future__ import annotations

import ctypes.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from .apt import Apt, package_version, unpack
from .errors import SandboxError
from .progress import step

LIBRARIES = ("pango-1.0", "pangoft2-1.0", "harfbuzz-subset")
"""What WeasyPrint loads by name; the rest follows from these."""
PACKAGES = (
    "libpango-1.0-0",
    "libpangoft2-1.0-0",
    "libharfbuzz-subset0",
    "fontconfig-config",
    "fonts-dejavu-core",
    "fonts-liberation",
)
NOT_UNPACKED = (
    "libc6",
    "libc-bin",
    "libcrypt1",
    "libgcc",
    "gcc-",
    "libstdc++",
    "perl",
    "dpkg",
    "debconf",
    "tar_",
    "x11-",
)
"""What the host has in its own version, and what only the installation scripts need (beginnings of names)."""
HOST_FONTS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))

_MANIFEST = "holdfast-manifest.json"
_RULES = (
    "30-metric-aliases.conf",  # Helvetica and Arial are Liberation Sans
    "45-generic.conf",
    "45-latin.conf",
    "49-sansserif.conf",
    "60-generic.conf",
    "60-latin.conf",
    "90-synthetic.conf",
)


def ensure(home: Path, *, force: bool = False) -> dict[str, str]:
    """What to set in the environment of our processes: nothing where the host has all of it (unless forced).

    Downloads about 10 MB the first time, into `<home>/native`; later calls take no time and no network.
    """
    if not force and not missing():
        return {}
    root = home / "native"
    if not (root / _MANIFEST).exists():
        _build(home, root)
    return environment(root)


def missing() -> list[str]:
    """What WeasyPrint would not find on this host."""
    libraries = [name for name in LIBRARIES if ctypes.util.find_library(name) is None]
    return libraries if _has_fonts() else [*libraries, "fonts"]


def environment(root: Path) -> dict[str, str]:
    """The variables for a complete folder.

    The dynamic linker looks into LD_LIBRARY_PATH before its own folders. FONTCONFIG_FILE alone is enough for
    fontconfig: WeasyPrint's, and the one that is built into libvips (for the text of watermarks).
    """
    return {
        "LD_LIBRARY_PATH": ":".join(str(folder) for folder in library_folders(root)),
        "FONTCONFIG_FILE": str(root / "fonts.conf"),
    }


def _build(home: Path, root: Path) -> None:
    require_apt(f"PDF rendering lacks {', '.join(missing()) or 'nothing that could be found out'}")
    partial = root.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    apt = Apt(home / "native-apt")
    try:
        apt.update()
        files = [file for file in apt.download(PACKAGES) if not file.name.startswith(NOT_UNPACKED)]
        with step("unpacked Pango, HarfBuzz and fonts for PDF rendering"):
            unpack(files, partial)
            (partial / "fonts.conf").write_text(fonts_conf(root))
            (partial / _MANIFEST).write_text(json.dumps(dict(map(package_version, files)), indent=2, sort_keys=True))
            shutil.rmtree(root, ignore_errors=True)
            partial.rename(root)
    finally:
        apt.clean()
        shutil.rmtree(partial, ignore_errors=True)


def fonts_conf(root: Path) -> str:
    """A configuration of fontconfig: our fonts and rules, and whatever the host has.

    (The packages would link the rules when they are installed.)
    """
    rules = "\n".join(
        f'  <include ignore_missing="yes">{root}/usr/share/fontconfig/conf.avail/{rule}</include>' for rule in _RULES
    )
    return (
        '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">\n<fontconfig>\n'
        f'  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>\n  <dir>{root}/usr/share/fonts</dir>\n'
        f"{rules}\n  <cachedir>{root}/cache</cachedir>\n</fontconfig>\n"
    )


def library_folders(root: Path) -> Iterator[Path]:
    """Where the dynamic linker has to look."""
    for base in ("usr/lib", "lib"):
        yield from sorted({file.parent for file in (root / base).glob("*-linux-*/*.so.*")})


def _has_fonts() -> bool:
    kinds = ("*.ttf", "*.otf", "*.ttc")
    return any(next(folder.rglob(kind), None) for folder in HOST_FONTS if folder.is_dir() for kind in kinds)


def require_apt(lack: str) -> None:
    """Raise SandboxError, which begins with what is lacking, where there is no apt to fetch it with."""
    absent = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if absent:
        raise SandboxError(
            lack,
            f"it could be taken from Debian packages, but {absent[0]} is missing here",
            "Install it with the package manager of this system: Pango, HarfBuzz and a font, or Chromium",
        )
