"""What `webhookd-load-test run` refuses before it starts anything, each with one line that says why.

Oracles: the output and the exit code. Nothing is started.
"""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from webhookd_load_test.cluster.timeline import Step
from webhookd_load_test.run_folder.paths import RunFolder
from webhookd_load_test.scenario.run_command import run
from webhookd_load_test.scenario.running_stack import UnusableTargetError, refuse_steps

SCENARIO = """
summary = "one"
[load]
rows = 10
duration_s = 5
[[subscriptions]]
name = "a"
"""


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(run, [*arguments])


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    file = tmp_path / "mine.toml"
    file.write_text(SCENARIO, encoding="utf-8")
    return file


def test_unknown_scenario_is_refused_with_the_known_ones() -> None:
    refused = ran("sed")
    assert (refused.exit_code, "no scenario 'sed'; there are: big-batches" in refused.output) == (1, True)


def test_unusable_timeline_is_refused_before_anything_starts(scenario: Path) -> None:
    scenario.write_text(SCENARIO + '[[timeline]]\nat_s = 1\ndo = "scale_workers"\n', encoding="utf-8")
    refused = ran(str(scenario))
    assert refused.exit_code == 1
    assert "timeline, step 1 (scale_workers at 1 s): `to` is missing" in refused.output


def test_folder_with_other_files_is_kept(scenario: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear", encoding="utf-8")
    refused = ran(str(scenario), "--folder", str(folder))
    assert (refused.exit_code, "has other files than those of a run" in refused.output) == (1, True)
    assert (folder / "letter.txt").read_text(encoding="utf-8") == "dear"


def test_records_of_a_run_beside_other_files_are_kept_too(scenario: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("records.csv", "letter.txt"):
        (folder / name).write_text("", encoding="utf-8")
    assert ran(str(scenario), "--folder", str(folder)).exit_code == 1
    assert sorted(file.name for file in folder.iterdir()) == ["letter.txt", "records.csv"]


def test_folder_of_a_run_that_did_not_start_is_used_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.logs.mkdir(parents=True)
    for name in ("run.json", "run.new", "received-0.sqlite-wal"):
        (folder.path / name).write_text("", encoding="utf-8")
    assert folder.others() == []
    folder.empty()
    assert list(folder.path.iterdir()) == []


def test_running_stack_needs_its_kafka(scenario: Path) -> None:
    refused = ran(str(scenario), "--api", "http://127.0.0.1:1")
    assert (refused.exit_code, "--api needs --bootstrap-servers" in refused.output) == (2, True)


def test_kafka_without_an_api_has_no_meaning(scenario: Path) -> None:
    refused = ran(str(scenario), "--bootstrap-servers", "127.0.0.1:1")
    assert (refused.exit_code, "--bootstrap-servers needs --api" in refused.output) == (2, True)


def test_receiver_s_url_needs_its_port(scenario: Path) -> None:
    arguments = ["--api", "http://127.0.0.1:1", "--bootstrap-servers", "127.0.0.1:1"]
    refused = ran(str(scenario), *arguments, "--receiver-url", "https://tunnel.example")
    assert (refused.exit_code, "need each other" in refused.output) == (2, True)


def test_what_runs_elsewhere_is_not_killed() -> None:
    with pytest.raises(UnusableTargetError, match=r"has a timeline \(kill_worker …\)"):
        refuse_steps([Step(at_s=1, do="kill_worker")])
