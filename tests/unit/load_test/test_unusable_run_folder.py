"""A folder that cannot be compared ends the command with 2 and one line: which file, which field, why.

Oracle: the lines, written out. The files are real ones, damaged.
"""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.load_test.run_files import good_run
from webhookd_load_test.compare.compare_command import compare
from webhookd_load_test.run_folder.paths import RunFolder


def sql(statement: str, file: Callable[[RunFolder], Path]) -> Callable[[RunFolder], None]:
    def damage(folder: RunFolder) -> None:
        with closing(sqlite3.connect(file(folder))) as connection, connection:
            connection.execute(statement)

    return damage


def received(statement: str) -> Callable[[RunFolder], None]:
    return sql(statement, lambda folder: folder.received(0))


def published(statement: str) -> Callable[[RunFolder], None]:
    return sql(statement, lambda folder: folder.published)


def facts(change: Callable[[dict[str, object]], object]) -> Callable[[RunFolder], None]:
    def damage(folder: RunFolder) -> None:
        document = json.loads(folder.facts.read_bytes())
        change(document)
        folder.facts.write_text(json.dumps(document))

    return damage


def subscription(**changes: object) -> Callable[[RunFolder], None]:
    return facts(lambda document: document["subscriptions"][1].update(changes))  # type: ignore[index]  # JSON


def csv_line(number: int, text: str) -> Callable[[RunFolder], None]:
    def damage(folder: RunFolder) -> None:
        lines = folder.records.read_text().splitlines()
        lines[number - 1] = text
        folder.records.write_text("\n".join(lines))

    return damage


DAMAGE: dict[str, Callable[[RunFolder], object]] = {
    "run.json: No such file or directory": lambda folder: folder.facts.unlink(),
    "run.json: Input data was truncated": lambda folder: folder.facts.write_text("{"),
    "run.json: Expected `int`, got `str` - at `$.began_ns`": facts(lambda document: document.update(began_ns="now")),
    "run.json: Object contains unknown field `more`": facts(lambda document: document.update(more=1)),
    "run.json: subscriptions[1].path: /orders is that of another subscription": subscription(path="/orders"),
    "run.json: subscriptions[1].filters[0]: Bad jmespath expression": subscription(filters=["a == 'b"]),
    "run.json: settings.bounds.*: Expected `float | null`, got `str` - at `$.stall_s`": facts(
        lambda document: document.update(settings={"bounds.stall_s": "long"})
    ),
    "run.json: settings.bounds.*: Object contains unknown field `lost`": facts(
        lambda document: document.update(settings={"bounds.lost": "1"})
    ),
    "run.json: began_ns is ": facts(lambda document: document.update(began_ns=0)),
    "records.csv: No such file or directory": lambda folder: folder.records.unlink(),
    "records.csv, line 3: has 3 fields, and the header 4": csv_line(3, "orders,{},k"),
    "records.csv, line 1: the header has no column key": csv_line(1, "topic,payload"),
    "published.sqlite: no such file": lambda folder: folder.published.unlink(),
    "published.sqlite: file is not a database": lambda folder: folder.published.write_bytes(b"text " * 1000),
    "published.sqlite: no table published": published("ALTER TABLE published RENAME TO other"),
    "published.sqlite: published has no column due_ns": published("ALTER TABLE published DROP COLUMN due_ns"),
    "published.sqlite: published.partition is text, not integer: 'x'": published(
        "UPDATE published SET partition = 'x' WHERE number = 3"
    ),
    "published.sqlite: number 77, but records.csv has 40 records": published(
        "UPDATE published SET number = 77 WHERE number = 3"
    ),
    "published.sqlite: topic of number 3 is x, not refunds": published(
        "UPDATE published SET topic = 'x' WHERE number = 3"
    ),
    "received-0.sqlite: no such file": lambda folder: folder.received(0).unlink(),
    "received-*.sqlite: a name without a number": lambda folder: folder.received(0).rename(
        folder.path / "received-old.sqlite"
    ),
    "received-0.sqlite: records has no column value": received("ALTER TABLE records DROP COLUMN value"),
    "received-0.sqlite: requests.received_ns is real, not integer: 0.5": received(
        "UPDATE requests SET received_ns = 0.5 WHERE id = 1"
    ),
    "received-0.sqlite: records.number is text, not integer or null: 'x'": received(
        "UPDATE records SET number = 'x' WHERE request = 1"
    ),
}


@pytest.mark.parametrize("line", DAMAGE)
def test_damage_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr("webhookd_load_test.compare.compare_command.raise_on_signals", lambda: None)
    folder = good_run().write(tmp_path / "run")
    folder.result.write_text("of an earlier comparison")
    DAMAGE[line](folder)
    ran = CliRunner().invoke(compare, [str(folder.path)])
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"{folder.path}: {line}")
    assert ran.stderr.count("\n") == 1
    assert not folder.result.exists()


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    ran = CliRunner().invoke(compare, [str(tmp_path / "none")])
    assert ran.exit_code == 2
    assert "does not exist" in ran.stderr
