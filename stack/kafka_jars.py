"""Apache Kafka's jars, fetched with Maven once per checkout."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from stack import install
from stack.errors import NotStarted

VERSION = "4.1.2"
"""The broker's version, here and in docker-compose.yml."""

ROOT = Path(__file__).resolve().parent.parent
POM = Path(__file__).with_name("kafka-pom.xml")
FETCH_TIMEOUT_S = 600.0
SIZE_MB = 56
"""All jars of VERSION (du -b)."""


def _print(line: str) -> None:
    print(f"stack: {line}", flush=True)


def jars(version: str = VERSION, *, say: Callable[[str], None] = _print) -> Path:
    """Return the directory of the jars; fetches them when it is missing, and says so."""
    libs = _libs(version)
    if not libs.is_dir():
        _fetch(version, libs, say)
    return libs


def formats(version: str = VERSION) -> Path:
    """Return the directory for formatted storage (kafka_formats.py), one folder for each node's id."""
    return _libs(version).with_name("formats")


def programs(version: str = VERSION) -> list[install.Program]:
    """Return what Kafka needs: Java, and Maven unless the jars are there."""
    return [install.JAVA] if _libs(version).is_dir() else [install.JAVA, install.MAVEN]


def _libs(version: str) -> Path:
    return ROOT / ".state" / "kafka" / version / "libs"


def _fetch(version: str, libs: Path, say: Callable[[str], None]) -> None:
    """Download to a temporary directory, then rename it, so that an interrupted download does not look complete."""
    maven = install.require(install.MAVEN)
    say(f"fetching Kafka {version} with Maven: {SIZE_MB} MB, once in this checkout; it takes about a minute")
    libs.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=libs.parent) as scratch:
        arriving = Path(scratch, "libs")
        _copy_dependencies(maven, version, arriving)
        if not libs.is_dir():
            shutil.move(arriving, libs)


def _copy_dependencies(maven: Path, version: str, directory: Path) -> None:
    command: list[str | Path] = [
        maven,
        "--quiet",
        "--batch-mode",
        f"--file={POM}",
        "dependency:copy-dependencies",
        f"-Dkafka.version={version}",
        f"-DoutputDirectory={directory}",
        # Java reads the home directory from the user database and ignores HOME
        f"-Dmaven.repo.local={Path.home() / '.m2' / 'repository'}",
    ]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=FETCH_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise NotStarted(f"Maven could not fetch Kafka {version}:\n{done.stdout.strip()}")
