"""What `make down` says when there is nothing to stop, and who owns a running stack.

Oracle: the lock of the file, held by this process. Nothing is doubled.
"""

import fcntl
import os
from pathlib import Path
from typing import IO

import pytest

from stack import dev_stack
from stack.errors import NotStarted
from stack.single_owner import owned


def test_down_says_that_nothing_is_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev_stack, "OWNER_FILE", tmp_path / "owner")
    assert dev_stack.down() == 0
    assert capsys.readouterr().out == "stack: nothing is up, so nothing is stopped or deleted\n"


def test_second_owner_is_told_who_is_the_first(tmp_path: Path) -> None:
    file = tmp_path / "state" / "owner"
    with owned(file, "{pid} has it"):
        first = file.read_text()
        with pytest.raises(NotStarted, match=f"^{first} has it$"), owned(file, "{pid} has it"):
            pytest.fail("two own it")
    assert not file.exists()
    with owned(file, "{pid} has it"):
        assert file.read_text() == first


def test_file_that_lost_its_name_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "owner"
    flock, names = fcntl.flock, [file, tmp_path / "none"]

    def flock_late(opened: IO[str], how: int) -> None:
        names.pop(0).unlink(missing_ok=True)  # what another owner does at its end
        flock(opened, how)

    monkeypatch.setattr(fcntl, "flock", flock_late)
    with owned(file, "{pid} has it"):
        assert file.read_text() == str(os.getpid())
        assert names == []
