"""Closed label sets, and counts that are shared by the children of a worker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Histogram

from holdfast.telemetry import families
from holdfast.telemetry.families import Label, Members, Teller, counter, histogram
from holdfast.telemetry.label_values import JOB_OUTCOMES


@pytest.fixture(autouse=True)
def no_trace_of_it() -> Iterator[None]:
    """What a test declares is no metric of ours."""
    before = list(families.CATALOGUE)
    yield
    families.CATALOGUE[:] = before


def kinds(*names: str) -> Members:
    members = Members()
    members.register(names)
    return members


def test_what_is_not_in_an_open_set_counts_as_other_and_is_not_kept() -> None:
    family = counter("test_asked", "Asked.", Label("kind", kinds("a.b"), open=True))
    for kind in ("a.b", "x" * 1000, "y", "other"):
        family.of(kind).inc()
    assert {
        sample.labels["kind"]: sample.value for sample in family.metric.collect()[0].samples if "total" in sample.name
    } == {
        "a.b": 1,
        "other": 3,
    }
    assert set(family._children) == {("a.b",), ("other",)}


def test_a_value_that_a_closed_set_does_not_have_is_a_defect() -> None:
    family = counter("test_ended", "Ended.", Label("outcome", lambda: JOB_OUTCOMES))
    with pytest.raises(ValueError, match="'lost' is no value of the label 'outcome'"):
        family.of("lost")


def test_every_series_begins_at_zero_unless_most_never_occur() -> None:
    label = Label("kind", kinds("a", "b"), open=True)
    dense, sparse = counter("test_dense", ".", label), counter("test_sparse", ".", label, sparse=True)
    dense.show()
    sparse.show()
    shown = [len([s for s in it.metric.collect()[0].samples if "total" in s.name]) for it in (dense, sparse)]
    assert shown == [3, 0]


@pytest.mark.parametrize("amount", [-1, 0, 0.5, 1, 1.5, 2, 5, 5.1, float("inf")])
def test_a_histogram_counts_as_that_of_the_library_does(amount: float) -> None:
    ours = histogram("test_took", "Took.", buckets=(1, 2, 5))
    theirs = Histogram("test_took", "Took.", registry=None, buckets=(1, 2, 5))
    for seen in (ours.of(), theirs):
        seen.observe(amount)
    counts, expected = (
        {(sample.name, *sample.labels.values()): sample.value for sample in metric.collect()[0].samples}
        for metric in (ours.metric, theirs)
    )
    created = {key for key in counts if key[0].endswith("_created")}
    assert counts.keys() == expected.keys()
    assert {key: counts[key] for key in counts.keys() - created} == {
        key: expected[key] for key in counts.keys() - created
    }


def test_a_child_is_looked_up_once() -> None:
    family = counter("test_once", ".", Label("kind", kinds("a")), by={Teller.API})
    assert family.of("a") is family.of("a")


WORKER = """
import json, os, signal, sys, tempfile
from pathlib import Path
from holdfast.telemetry import metrics
from holdfast.telemetry.exposition import Exposition
from holdfast.telemetry.families import Teller
from holdfast.telemetry.prefork import enter_slot, shared_counts

def child(slot, die):
    pid = os.fork()
    if pid == 0:
        enter_slot(slot)
        metrics.CHILDREN_STARTED.of().inc()
        metrics.RUN.of("other").observe(0.2)
        metrics.WORKER_BUSY.of().inc()
        os.kill(os.getpid(), signal.SIGKILL) if die else os._exit(0)
    os.waitpid(pid, 0)

with shared_counts() as folder:
    exposition = Exposition("worker-render", {Teller.WORKER})
    told, files = [], []
    for turn in range(5):
        child(0, die=True)
        child(1, die=turn == 1)
        told.append(exposition.text().decode())
        files.append(len(list(folder.iterdir())))
    print(json.dumps({"told": told, "files": files, "folder": str(folder)}))
    if sys.argv[1] == "die":
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
"""


def run(how: str, temporary: Path) -> dict[str, object]:
    ended = subprocess.run(
        [sys.executable, "-c", WORKER, how], env={"TMPDIR": str(temporary)}, capture_output=True, text=True, check=False
    )
    assert ended.stdout, ended.stderr
    found: dict[str, object] = json.loads(ended.stdout)
    return found


def value(text: str, name: str) -> float:
    return float(next(line for line in text.splitlines() if line.startswith(name + " ")).split()[1])


def test_no_count_is_lost_with_a_killed_child_and_no_file_is_added(tmp_path: Path) -> None:
    found = run("end", tmp_path)
    told = found["told"]
    assert isinstance(told, list)
    assert [value(text, "holdfast_worker_processes_started_total") for text in told] == [2, 4, 6, 8, 10]
    assert value(told[-1], 'holdfast_job_run_seconds_count{kind="other"}') == 10
    assert value(told[-1], "holdfast_worker_busy") == 2, "of the last child of each slot, not of those before it"
    files = found["files"]
    assert isinstance(files, list)
    assert len(set(files)) == 1, files
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_worker_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left = Path(str(run("die", tmp_path)["folder"]))
    assert left.exists()
    told = run("end", tmp_path)["told"]
    assert not left.exists()
    assert isinstance(told, list)
    assert value(told[0], "holdfast_worker_processes_started_total") == 2, "it begins anew"
