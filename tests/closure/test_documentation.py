"""What the documentation names exists: tests, scenarios, make targets, modules, settings, fields and codes.

Oracle: the repository's own files. The site's links and anchors are checked by `make docs`.
"""

import re
from configparser import ConfigParser
from pathlib import Path

import pytest

from webhookd.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TESTS = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
PROMISE = (DOCS / "explanation" / "promise.md").read_text(encoding="utf-8")
NOT_OURS = {"WEBHOOKD_TEST_KAFKA", "WEBHOOKD_TEST_REDIS", "WEBHOOKD_TEST_POSTGRES", "WEBHOOKD_REDIS_ULR"}
"""Environment variables of the tests' stack, and the example of a name that is spelled wrong."""

WORDS_OF_CODE = {
    word
    for package in ("api", "command", "load-test", "webhookd", "workers")
    for path in (ROOT / package).rglob("*.py")
    for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))
}
FROM_ELSEWHERE = {"pg_dump", "read_only", "rule_files", "runbook_url", "search_path"}
"""Words of other programs."""

MODULE = re.compile(r"[\w/-]+/[\w/-]+\.py")
"""The path of a module."""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))


def code(text: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def test_each_test_that_the_promise_names_exists() -> None:
    files = {path.name for path in TESTS} | {str(path.relative_to(ROOT)) for path in TESTS}
    functions = {name for text in TESTS.values() for name in re.findall(r"^def (test_\w+)", text, flags=re.MULTILINE)}
    named = {name for name in code(PROMISE) if name.rpartition("/")[2].startswith("test_")}
    assert named
    assert named - files - functions == set()


def test_each_scenario_that_the_promise_names_was_run() -> None:
    ran = re.findall(r"^\| ([^|]+) \|", (DOCS / "explanation" / "chaos.md").read_text(), flags=re.MULTILINE)
    table = PROMISE.split("| what | shown by |", 1)[1].split("\n\n", 1)[0]
    named = {name.removesuffix("…") for name in re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", table)}
    assert {name for name in named if not any(row.startswith(name.strip()) for row in ran)} == set()


@pytest.mark.parametrize(("package", "contract"), [("webhookd/flow", "5"), ("workers/ingest", "6")])
def test_order_of_imports_is_that_of_the_contract(package: str, contract: str) -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    layers = config[f"importlinter:contract:{contract}"]["layers"].strip().replace(" : ", ", ")
    architecture = (DOCS / "explanation" / "architecture.md").read_text(encoding="utf-8")
    assert f"`{package}`:\n\n```text\n{layers}\n```\n" in architecture


@every_page
def test_each_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8")))
    assert named - targets == set()


@every_page
def test_each_module_that_a_page_names_exists(page: Path) -> None:
    named = set(filter(MODULE.fullmatch, code(page.read_text(encoding="utf-8"))))
    places = (ROOT, ROOT / "webhookd")
    assert {name for name in named if not any((place / name).exists() for place in places)} == set()


@every_page
def test_each_setting_that_a_page_names_exists(page: Path) -> None:
    settings = {f"WEBHOOKD_{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"\bWEBHOOKD_[A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8")))
    assert named - settings - NOT_OURS == set()


@every_page
def test_each_word_with_an_underscore_that_a_page_names_is_in_the_code(page: Path) -> None:
    """Fields, codes, reasons, log events: one that was renamed in the code must not keep its old name here."""
    text = page.read_text(encoding="utf-8")
    snippets = {snippet for snippet in code(text) if not MODULE.fullmatch(snippet)}
    words = {word for snippet in snippets for word in re.findall(r"(?<![\w-])[a-z]+(?:_[a-z]+)+(?!\w)", snippet)}
    words = {word for word in words if not word.startswith("test_")} - FROM_ELSEWHERE
    assert words - WORDS_OF_CODE == set()
