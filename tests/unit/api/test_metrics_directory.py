"""The directory of the API's metrics: one for each API, and none that a killed one has left."""

import os
from pathlib import Path

import pytest

from api.metrics_directory import PREFIX, MetricsDirectory


def test_it_is_gone_after_its_removal(tmp_path: Path) -> None:
    directory = MetricsDirectory(str(tmp_path))
    (directory.path / "counter_1.db").write_bytes(b"x")
    assert directory.path.stat().st_mode & 0o777 == 0o700
    directory.remove()
    assert list(tmp_path.iterdir()) == []


def test_that_of_another_running_api_stays(tmp_path: Path) -> None:
    other, own = MetricsDirectory(str(tmp_path)), MetricsDirectory(str(tmp_path))
    assert other.path.exists()
    assert other.path != own.path
    for directory in (own, other):
        directory.remove()


def test_what_nobody_has_locked_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}killed"
    left.mkdir()
    (left / "histogram_1.db").write_bytes(b"x")
    MetricsDirectory(str(tmp_path)).remove()
    assert not left.exists()


def test_links_and_files_of_that_name_stay(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    (tmp_path / f"{PREFIX}file").write_bytes(b"x")
    MetricsDirectory(str(tmp_path)).remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", f"{PREFIX}file", f"{PREFIX}link"]


def test_a_worker_process_does_not_remove_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = MetricsDirectory(str(tmp_path))
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        directory.remove()
    assert directory.path.exists()
    directory.remove()


def test_a_place_that_is_missing_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        MetricsDirectory(str(tmp_path / "missing"))
