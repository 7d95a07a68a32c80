"""The lock files: every line hashed, no address of a place to fetch from, one version of each package.

Oracle: the files' text and setup.cfg.
"""

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNTIME, TEST = ROOT / "requirements.lock", ROOT / "requirements-test.lock"

both_locks = pytest.mark.parametrize("lock", [RUNTIME, TEST], ids=lambda lock: lock.name)


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+) (?:; .*)?\\$", lock.read_text(), flags=re.MULTILINE))


def names(requirements: str) -> set[str]:
    return {re.split(r"[<>=\[]", line)[0].lower() for line in requirements.split()}


def declared(section: str, option: str) -> set[str]:
    configuration = configparser.ConfigParser()
    configuration.read(ROOT / "setup.cfg")
    return names(configuration[section][option])


@both_locks
def test_every_package_has_hashes(lock: Path) -> None:
    entries = re.split(r"^(?=[a-z0-9])", lock.read_text(), flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@both_locks
def test_lock_names_no_place_to_fetch_from(lock: Path) -> None:
    assert re.findall(r"://|--[a-z-]*index[a-z-]*|--find-links|--trusted-host", lock.read_text()) == []


@both_locks
def test_lock_holds_what_is_declared_and_builds(lock: Path) -> None:
    assert declared("options", "install_requires") | {"setuptools"} <= set(pins(lock))


def test_test_lock_holds_the_test_packages() -> None:
    assert declared("options.extras_require", "test") <= set(pins(TEST))


def test_both_locks_agree_on_versions() -> None:
    assert pins(RUNTIME).items() <= pins(TEST).items()


def test_lock_serves_the_first_python_3_11() -> None:
    """What only 3.11.0 to 3.11.2 need is missing from a lock made on a newer one, and pip then refuses to install."""
    assert "async-timeout" in pins(RUNTIME)
