"""Temporary directories are removed. Oracle: the file system; the locks are real and held by this process."""

import os
from pathlib import Path

from stack.scratch import OWNER, PREFIX, is_locked, scratch_directory


def abandoned(parent: Path, age_s: float) -> Path:
    directory = parent / f"{PREFIX}abandoned"
    directory.mkdir()
    (directory / OWNER).touch()
    made_at = directory.stat().st_mtime - age_s
    os.utime(directory, (made_at, made_at))
    return directory


def test_directory_is_gone_after_the_run(tmp_path: Path) -> None:
    with scratch_directory(tmp_path) as directory:
        (directory / "data").touch()
    assert list(tmp_path.iterdir()) == []


def test_directory_is_locked_during_the_run(tmp_path: Path) -> None:
    with scratch_directory(tmp_path) as directory:
        assert is_locked(directory / OWNER)


def test_killed_runs_directory_is_swept(tmp_path: Path) -> None:
    left_behind = abandoned(tmp_path, age_s=3600)
    with scratch_directory(tmp_path):
        assert not left_behind.exists()


def test_young_directory_is_left_alone(tmp_path: Path) -> None:
    about_to_be_locked = abandoned(tmp_path, age_s=1)
    with scratch_directory(tmp_path):
        assert about_to_be_locked.exists()


def test_running_runs_directory_is_left_alone(tmp_path: Path) -> None:
    with scratch_directory(tmp_path) as running:
        os.utime(running, (0, 0))
        with scratch_directory(tmp_path):
            assert running.exists()
