"""Documents of a run are written whole or not at all.

Oracle: the bytes of the file after a write that fails in its middle, and after one that does not.
"""

from pathlib import Path

import pytest

from tests.unit.load_test import run_folders
from webhookd_load_test.report.html_report import write_report
from webhookd_load_test.run_folder import facts, result, whole_file


class NoSpaceError(Exception):
    """The disk is full."""


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes the first half of what is written."""
    whole = Path.write_bytes

    def half(file: Path, content: bytes) -> int:
        whole(file, content[: len(content) // 2])
        raise NoSpaceError

    monkeypatch.setattr(Path, "write_bytes", half)


def test_file_is_replaced(tmp_path: Path) -> None:
    for content in (b"one", b"another"):
        whole_file.write(tmp_path / "run.json", content)
        assert (tmp_path / "run.json").read_bytes() == content
        assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_documents_stay_as_they_were_when_the_disk_is_full(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run = run_folders.good(tmp_path)
    write_report(run)
    documents = (run.facts, run.result, run.report)
    before = [file.read_bytes() for file in documents]
    told, found = facts.read(run.facts), result.read(run.result)
    request.getfixturevalue("full_disk")
    with pytest.raises(NoSpaceError):
        facts.write(run.facts, told)
    with pytest.raises(NoSpaceError):
        result.write(run.result, found)
    with pytest.raises(NoSpaceError):
        write_report(run)
    assert [file.read_bytes() for file in documents] == before
