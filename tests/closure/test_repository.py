"""The files around the code: licence, contributors' guide, issue forms, and the workflow for pull requests.

Oracle: the files themselves, read by parsers. No hosting platform is asked.
"""

import configparser
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import install
from tests.conftest import NOT_MEASURED

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FORMS = [GITHUB / "ISSUE_TEMPLATE" / name for name in ("bug.yml", "feature.yml")]
FIELD_TYPES = {"checkboxes", "dropdown", "input", "markdown", "textarea"}
PROSE = ("CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", ".github/pull_request_template.md")

STARTED_BY_THE_STACK = (
    install.REDIS_SERVER,
    install.INITDB,
    install.PGBOUNCER,
    install.NGINX,
    install.OPENSSL,
    install.MAVEN,
    install.PROMTOOL,
)
"""The programs that the workflow installs; Java is set up by a step of its own."""


def parsed(path: Path) -> dict[str, Any]:
    """A YAML file with every scalar as text: otherwise `on` would be read as true."""
    found = yaml.BaseLoader(path.read_text(encoding="utf-8")).get_single_data()
    assert isinstance(found, dict)
    return found


WORKFLOW = parsed(GITHUB / "workflows" / "test.yml")
JOB: dict[str, Any] = WORKFLOW["jobs"]["test"]


def commands() -> list[str]:
    return [step["run"].strip() for step in JOB["steps"] if "run" in step]


def inputs_of(action: str) -> dict[str, str]:
    (step,) = [step for step in JOB["steps"] if step.get("uses", "").startswith(f"{action}@")]
    found: dict[str, str] = step["with"]
    return found


def test_workflow_runs_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = set(re.findall(r"^(make test)(?: +#.*)?$", readme, flags=re.MULTILINE))
    assert [line for line in commands() if "make" in line] == [command]


def test_workflow_runs_on_pull_requests_with_read_rights_only() -> None:
    assert "pull_request" in WORKFLOW["on"]
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "permissions" not in JOB


def test_workflow_ends_within_a_time() -> None:
    assert 15 <= int(JOB["timeout-minutes"]) <= 60


def test_workflow_uses_the_oldest_versions_supported() -> None:
    configuration = configparser.ConfigParser()
    configuration.read(ROOT / "setup.cfg")
    assert configuration["options"]["python_requires"] == f">={inputs_of('actions/setup-python')['python-version']}"
    assert inputs_of("actions/setup-java")["java-version"] == str(install.JAVA_AT_LEAST)


def test_workflow_installs_what_the_stack_starts() -> None:
    (installed,) = re.findall(r"apt-get install (.+)", "\n".join(commands()))
    packages = {word for word in installed.split() if not word.startswith("-")}
    assert [program.name for program in STARTED_BY_THE_STACK if not packages & {*program.packages}] == []
    assert packages <= {package for program in STARTED_BY_THE_STACK for package in program.packages}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_form_has_what_the_platform_asks_for(path: Path) -> None:
    form = parsed(path)
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in form["body"]} <= FIELD_TYPES
    assert len({field["id"] for field in fields}) == len(fields)
    assert [field["id"] for field in fields if not field["attributes"]["label"]] == []


def test_every_file_of_the_platform_is_valid_yaml() -> None:
    found = {path.name for path in GITHUB.rglob("*.yml") if parsed(path)}
    assert found >= {"bug.yml", "config.yml", "feature.yml", "test.yml"}


def test_licence_is_the_declared_one() -> None:
    configuration = configparser.ConfigParser()
    configuration.read(ROOT / "setup.cfg")
    text = (ROOT / configuration["metadata"]["license_files"].strip()).read_text(encoding="utf-8")
    assert configuration["metadata"]["license"] == "Apache-2.0"
    assert [line.strip() for line in text.splitlines()[:2]] == ["Apache License", "Version 2.0, January 2004"]
    assert "END OF TERMS AND CONDITIONS" in text


def test_image_is_built_with_the_licence() -> None:
    assert "!LICENSE" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_guide_names_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)`", GUIDE)) - targets == set()


@pytest.mark.parametrize("name", PROSE)
def test_paths_that_are_named_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([^)#:]+)\)", text)
    quoted = re.findall(r"`([\w.-]+(?:/[\w.-]+)+|[\w-]+\.(?:py|md|cfg|yml|lock))`", text)
    named = [path for path in [*linked, *quoted] if not path.startswith(".state/")]  # what commands make
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_tests_without_coverage_exist() -> None:
    assert [path for path in NOT_MEASURED if not (ROOT / path).exists()] == []
