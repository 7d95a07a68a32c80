"""What `make load-test-setup` says of programs that are there, and of those that are missing.

Oracle: the output and the exit code. The programs are this test's; the jars are a folder. Nothing is installed.
"""

from pathlib import Path

import pytest

from stack.errors import NotStarted
from stack.install import Program
from stack.preparation import prepare

SHELL = Program(name="sh", packages=("dash",), fallback_glob="bin/sh")
MISSING = Program(name="no-such-program", packages=("nothing",), fallback_glob="usr/bin/no-such-program")
OTHER = Program(name="nor-this-one", packages=("nothing-2",), fallback_glob="usr/bin/nor-this-one")


def test_what_is_there_is_named_with_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare([SHELL], lambda: tmp_path, may_install=lambda: False) == 0
    program, jars = capsys.readouterr().out.splitlines()
    assert program.startswith("stack: sh was there: /")
    assert jars.endswith(f": {tmp_path}")


def test_all_missing_programs_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare([MISSING, SHELL, OTHER], lambda: tmp_path, may_install=lambda: False) == 1
    expected = "stack: needs no-such-program, nor-this-one: apt-get install nothing nothing-2\n"
    assert capsys.readouterr().out == expected


def test_jars_that_cannot_be_fetched_are_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    def jars() -> Path:
        raise NotStarted("Maven could not fetch Kafka")

    assert prepare([], jars) == 1
    assert capsys.readouterr().out == "stack: Maven could not fetch Kafka\n"
