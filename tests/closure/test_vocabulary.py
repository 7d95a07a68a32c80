"""Code and docs use the field's terms: none of the words that they have replaced is left.

The glossary in docs/explanation/architecture.md has the words that are used instead.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.closure.findings import told

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("api", "command", "docs", "documentation", "load-test", "stack", "tests", "webhookd", "workers", ".github")
ENDINGS = {".py", ".md", ".yml", ".toml", ".cfg"}

REPLACED = re.compile(
    r"\b(addressees?|asleep|boards?|buri(al|ed)|bury(ing)?|deaf(ness)?|desk|errands?|graveyard|intakes?|leash|memos?"
    r"|occupation|oversight|parcels?|spells?|standstills?|vigils?|vitals)\b",
    re.IGNORECASE,
)
ALLOWED = {
    "tests/closure/test_vocabulary.py": "names the words",
    "tests/contract/store/test_migrations.py": "writes into tables as they were before they got their names",
}


def pages() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.suffix in ENDINGS or path.name in {"Makefile", "Procfile"})
    for folder in FOLDERS:
        yield from (path for path in (ROOT / folder).rglob("*") if path.suffix in ENDINGS)


def replaced_words_in(path: Path) -> Iterator[str]:
    name = str(path.relative_to(ROOT))
    if name in ALLOWED or path.name == "CHANGELOG.md":
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    yield from (f"{name}:{number}: {line}" for number, line in enumerate(lines, 1) if REPLACED.search(line))


def test_replaced_words_are_not_used() -> None:
    found = [finding for path in pages() for finding in replaced_words_in(path)]
    assert not found, told("replaced words", found)
