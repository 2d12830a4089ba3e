"""Injected faults strike where and when they are armed, once, and never in production."""

from __future__ import annotations

import multiprocessing
import signal
from pathlib import Path

import pytest

from holdfast.adapters.faults import FaultInjected, FolderFaults
from holdfast.bootstrap import _faults
from holdfast.ports.faults import FaultPoint, NoFaults
from holdfast.settings import Settings

POINT = FaultPoint.SUBMIT_COMMITTED


def test_a_point_that_is_not_armed_is_passed(tmp_path: Path) -> None:
    FolderFaults(tmp_path).reach(POINT)
    FolderFaults(tmp_path / "missing").reach(POINT)


def test_the_nth_reach_strikes_and_the_next_do_not_though_the_process_is_another(tmp_path: Path) -> None:
    (tmp_path / POINT.value).write_text("raise 3")
    FolderFaults(tmp_path).reach(POINT)
    FolderFaults(tmp_path).reach(POINT)
    with pytest.raises(FaultInjected, match=r"submit\.committed"):
        FolderFaults(tmp_path).reach(POINT)
    FolderFaults(tmp_path).reach(POINT)


def test_another_point_is_passed(tmp_path: Path) -> None:
    (tmp_path / POINT.value).write_text("raise")
    FolderFaults(tmp_path).reach(FaultPoint.EXECUTE_RAN)


def test_kill_ends_the_process_at_once(tmp_path: Path) -> None:
    (tmp_path / POINT.value).write_text("kill")
    process = multiprocessing.get_context("spawn").Process(target=FolderFaults(tmp_path).reach, args=(POINT,))
    process.start()
    process.join(20)
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / f"{POINT.value}.fired").exists()


def test_production_takes_no_faults(tmp_path: Path) -> None:
    assert isinstance(_faults(Settings(environment="production", faults=tmp_path)), NoFaults)
    assert isinstance(_faults(Settings(faults=None)), NoFaults)
    assert isinstance(_faults(Settings(faults=tmp_path)), FolderFaults)
