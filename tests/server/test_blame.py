"""Which deaths of the worker a prediction can have caused."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from toccata.server.worker import blame


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    paths = tmp_path / "vmstat", tmp_path / "memory.events"
    monkeypatch.setattr(blame, "VMSTAT", paths[0])
    monkeypatch.setattr(blame, "CGROUP_EVENTS", paths[1])
    return paths


def test_a_crash_and_a_hang_count(counters: tuple[Path, Path]) -> None:
    assert blame.can_be_caused(9, 0, hung=False)
    assert blame.can_be_caused(-signal.SIGSEGV, 0, hung=False)
    assert blame.can_be_caused(-signal.SIGKILL, 0, hung=True)


def test_a_kill_counts_only_if_memory_ran_out(counters: tuple[Path, Path]) -> None:
    vmstat, events = counters
    vmstat.write_text("pgfault 7\noom_kill 3\n")
    before = blame.count_oom_kills()
    assert before == 3
    assert not blame.can_be_caused(-signal.SIGKILL, before, hung=False)
    vmstat.write_text("pgfault 9\noom_kill 4\n")
    assert blame.can_be_caused(-signal.SIGKILL, before, hung=False)
    events.write_text("low 0\noom 1\noom_kill 1\noom_group_kill 0\n")
    assert blame.count_oom_kills() == 5


def test_a_kill_counts_where_nothing_is_known(counters: tuple[Path, Path]) -> None:
    assert blame.count_oom_kills() is None
    assert blame.can_be_caused(-signal.SIGKILL, None, hung=False)
