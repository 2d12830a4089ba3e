"""Pango, HarfBuzz and fonts for WeasyPrint, where the host lacks them: Debian packages in a private folder.

The folder, and how it comes to be complete, is that of `unpacked`.
"""

from __future__ import annotations

import ctypes.util
from collections.abc import Iterator
from pathlib import Path

from .unpacked import Packages
from .unpacked import ensure as unpack_once

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
HOST_FONTS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))

_RULES = (
    "30-metric-aliases.conf",  # Helvetica and Arial are Liberation Sans
    "45-generic.conf",
    "45-latin.conf",
    "49-sansserif.conf",
    "60-generic.conf",
    "60-latin.conf",
    "90-synthetic.conf",
)


def ensure(cache: Path, *, force: bool = False) -> dict[str, str]:
    """What to set in the environment of our processes: nothing where the host has all of it (unless forced).

    Downloads about 14 MB the first time, into the cache; later calls take no time and no network.
    """
    if not force and not missing():
        return {}
    return environment(unpack_once(NEEDED, NEEDED.folder(cache, "native")))


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


def _finish(partial: Path, root: Path) -> None:
    (partial / "fonts.conf").write_text(fonts_conf(root))


NEEDED = Packages("Pango, HarfBuzz and fonts for PDF rendering", PACKAGES, finish=_finish, recipe="".join(_RULES))
