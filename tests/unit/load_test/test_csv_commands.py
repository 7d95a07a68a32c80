"""The options of csv-generate and csv-publish, in this process. Real files; no broker is asked."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.harness.command_signals import signals_restored
from webhookd_load_test.main import main
from webhookd_load_test.records import csv_file, csv_survey


def run(*arguments: str) -> Result:
    with signals_restored():
        return CliRunner().invoke(main, arguments, catch_exceptions=False)


def generated(*arguments: str) -> Result:
    return run("csv-generate", "--duration", "1m", "--rows", "50", *arguments)


def test_file_has_the_wanted_rows(tmp_path: Path) -> None:
    file = tmp_path / "records.csv"
    ended = generated("--csv", str(file), "--topics", "3", "--keys", "2", "--payload-bytes", "150")
    assert (ended.exit_code, ended.stdout) == (0, f"wrote 50 rows to {file}\n")
    records = list(csv_file.read(file))
    assert len(records) == 50
    assert {record.topic for record in records} == {"load-test-0", "load-test-1", "load-test-2"}
    assert {record.key for record in records} == {"key-0", "key-1"}
    assert {len(record.payload) for record in records} == {150}
    assert 58_000 < records[-1].publish_ms < 60_000


def test_topics_have_the_names_that_are_given(tmp_path: Path) -> None:
    file = tmp_path / "records.csv"
    generated("--csv", str(file), "--topic", "orders", "--topic", "payments")
    assert csv_survey.survey(file).topics == ["orders", "payments"]
    generated("--csv", str(file), "--topics", "2", "--topic-prefix", "mine")
    assert csv_survey.survey(file).topics == ["mine-0", "mine-1"]


def test_standard_output_gets_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "records.csv"
    generated("--csv", str(file), "--seed", "3")
    assert generated("--csv", "-", "--seed", "3").stdout == file.read_text()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "reason"),
    [
        (["--csv", "-", "--topic", "a", "--topics", "2"], 2, "--topic and --topics exclude each other"),
        (["--csv", "-", "--topic", "a", "--topic", "a"], 2, "--topic has a name twice"),
        (["--csv", "-", "--topic-prefix", "a/b"], 2, "'a/b-0' is no name of a topic"),
        (["--csv", "-", "--duration", "1"], 2, "'1' is no duration"),
        (["--csv", "-", "--payload-bytes", "10"], 2, "Invalid value for '--payload-bytes'"),
        (["--csv", "/dev/null/records.csv"], 1, "Error: /dev/null/records.csv: Not a directory"),
    ],
)
def test_unusable_options_are_named(arguments: list[str], exit_code: int, reason: str) -> None:
    ended = generated(*arguments)
    assert ended.exit_code == exit_code
    assert reason in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "reason"),
    [
        (["--csv", "/none.csv"], 1, "Error: /none.csv: No such file or directory"),
        (["--csv", "/none.csv", "--partitions", "3"], 2, "--partitions and --replication-factor need --create-topics"),
        (["--csv", "/none.csv", "--kafka-config", "acks=1"], 2, "acks cannot be set here"),
        (
            ["--csv", "/none.csv", "--kafka-config", "sasl.username=me"],
            2,
            "--kafka-config: sasl.username has no effect",
        ),
        (["--csv", "/none.csv", "--speed", "0"], 2, "Invalid value for '--speed'"),
    ],
)
def test_unusable_options_of_publishing_are_named(arguments: list[str], exit_code: int, reason: str) -> None:
    ended = run("csv-publish", *arguments)
    assert ended.exit_code == exit_code
    assert reason in ended.stderr
