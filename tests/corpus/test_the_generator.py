"""The corpus is large enough, has no two inputs of one name, and comes out the same every time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from corpus import addresses, answers, generate


def test_every_input_has_a_name_of_its_own() -> None:
    names = [case.id for case in generate.files()] + [answer.id for answer in answers.ANSWERS]
    names += [host.id for host in addresses.hosts()]
    assert len(names) == len(set(names))
    assert len(names) > 500


def test_two_runs_write_the_same_files(tmp_path: Path) -> None:
    indexes = []
    for seed in ("1", "2"):
        folder, environment = tmp_path / seed, os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, generate.__file__, folder], env=environment, check=True)
        indexes.append(json.loads((folder / "index.json").read_text()))
    assert indexes[0] == indexes[1]
    assert len(list((tmp_path / "1").iterdir())) == len(indexes[0]) + 1
