"""Writes the hostile corpus: `python tests/corpus/generate.py FOLDER` makes a file of each input and an index of all.

Deterministic: the same files from the same Pillow. Nothing of it is in the repository but the recipes; tests make each
input in memory when its turn comes. `index.json` has the family, the name and the asserted outcome of each file.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from corpus import addresses, answers, breakouts, disguises, documents, images
from corpus.case import Case


def files() -> Iterator[Case]:
    """The inputs that are files: pictures, and payloads of documents."""
    for module in (images, disguises, documents, breakouts):
        yield from module.cases()


def families() -> Iterator[tuple[str, int, list[str]]]:
    """Each family with the number of its inputs and the outcomes that they may have."""
    found: dict[str, tuple[int, set[str]]] = {}
    entries = [(case.family, case.outcomes) for case in (*files(), *answers.ANSWERS)]
    for host in addresses.hosts():
        family = "inner address of every kind" if host.address else "odd spelling of an inner host"
        entries.append(
            (family, frozenset({"Forbidden", "InvalidUrl"}) if not host.address else frozenset({"Forbidden"}))
        )
    entries += [("URL that is none of http or https", frozenset({"InvalidUrl"}))] * len(addresses.SCHEMES)
    for family, outcomes in entries:
        count, seen = found.get(family, (0, set()))
        found[family] = (count + 1, seen | outcomes)
    return ((family, count, sorted(outcomes)) for family, (count, outcomes) in found.items())


def write(folder: Path) -> None:
    """Every file below `folder`, and the index."""
    index = []
    for number, case in enumerate(files()):
        data, place = case.make(), folder / f"{number:03}"
        place.write_bytes(data)
        facts = {"family": case.family, "name": case.name, "outcome": case.outcome}
        index.append({"file": place.name, **facts, "sha256": hashlib.sha256(data).hexdigest()})
    (folder / "index.json").write_text(json.dumps(index, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    write(target)
