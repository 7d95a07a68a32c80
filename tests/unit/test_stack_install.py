"""Which of several programs is used. Oracle: files made here. Only the search is real; nothing is installed."""

from dataclasses import replace
from pathlib import Path

import pytest

from stack import install
from stack.errors import NotStarted

SERVER = install.Program(name="webhookd-no-such-program", packages=("first-choice", "last-choice"), fallback_glob="")


def program_in(directory: Path, text: str = "#!/bin/sh\n", mode: int = 0o755) -> Path:
    directory.mkdir(parents=True)
    program = directory / "server"
    program.write_text(text)
    program.chmod(mode)
    return program


def looking_in(program: install.Program, directory: Path) -> install.Program:
    return replace(program, name=SERVER.name, fallback_glob=f"{str(directory).lstrip('/')}/*/server")


def java_saying(version: str, directory: Path) -> Path:
    return program_in(directory, f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")


def test_newest_version_is_taken(tmp_path: Path) -> None:
    program_in(tmp_path / "9")
    newest = program_in(tmp_path / "17")
    assert install.find(looking_in(SERVER, tmp_path)) == newest


def test_program_that_cannot_run_is_skipped(tmp_path: Path) -> None:
    usable = program_in(tmp_path / "9")
    program_in(tmp_path / "17", mode=0o644)
    assert install.find(looking_in(SERVER, tmp_path)) == usable


def test_initdb_without_its_postgres_is_skipped(tmp_path: Path) -> None:
    program_in(tmp_path / "17")
    assert install.find(looking_in(install.INITDB, tmp_path)) is None


@pytest.mark.parametrize(("version", "accepted"), [("1.8.0_412", False), ("11.0.2", False), ("17", True), ("25", True)])
def test_java_must_be_new_enough(tmp_path: Path, version: str, accepted: bool) -> None:
    java = java_saying(version, tmp_path / "some")
    assert install.find(looking_in(install.JAVA, tmp_path)) == (java if accepted else None)


def test_absent_program_is_named_with_its_package(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match="needs webhookd-no-such-program: apt-get install last-choice"):
        install.require(looking_in(SERVER, tmp_path), may_install=lambda: False)


def test_all_absent_programs_are_named_at_once(tmp_path: Path) -> None:
    absent = looking_in(SERVER, tmp_path)
    other = replace(absent, name="webhookd-other-program", packages=("other",))
    line = "^needs webhookd-no-such-program, webhookd-other-program: apt-get install last-choice other$"
    with pytest.raises(NotStarted, match=line):
        install.require_all([absent, other], may_install=lambda: False)
    install.require_all([absent, other], may_install=lambda: True)
