"""The command `webhookd-load-test report`: what it prints, and one clear line when it cannot."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.load_test import run_folders
from webhookd_load_test.main import main
from webhookd_load_test.report.picture import BROWSERS


def test_report_is_written_and_named(tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    done = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert (done.exit_code, done.output) == (0, f"written: {run.report}\n")
    assert run.report.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [file.name for file in tmp_path.glob("*.new")] == []


def test_folder_without_a_run_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {tmp_path}: nothing to report: There is no run.json")
    assert done.output.count("\n") == 1


def test_report_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    run_folders.good(tmp_path).report.mkdir()
    done = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert "directory" in done.output
    assert done.output.count("\n") == 1


def test_picture_without_a_browser_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folders.good(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(main, ["report", str(tmp_path), "--picture", str(tmp_path / "p.png")])
    assert done.exit_code == 1
    wanted = ", ".join(BROWSERS)
    assert done.output.endswith(f"Error: no browser to take a picture with: none of {wanted} is installed\n")
    assert not (tmp_path / "p.png").exists()
