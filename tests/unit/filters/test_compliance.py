"""The official JMESPath compliance suite: compiled expressions return what the library returns.

The suite is not part of this repository. A folder with its JSON files (the `tests` folder of jmespath/jmespath.test)
is read where it exists; WEBHOOKD_TEST_JMESPATH_SUITE names it. Without the folder every test of this module is skipped,
in CI too: `test_differential` compares the same code with the library on generated pairs and needs no folder.
"""

import json
import os
from pathlib import Path

import jmespath
import pytest

from tests.unit.filters.oracle import Json, compiled, expected, partly_decoded
from webhookd.errors import InvalidFilter
from webhookd.flow.filters.expression import parse

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / (os.environ.get("WEBHOOKD_TEST_JMESPATH_SUITE") or "../shared/jmespath-compliance")
"""A relative path starts at the root of the repository."""

SUITES = (
    *("basic", "boolean", "current", "escape", "filters", "functions", "identifiers", "indices", "literal"),
    *("multiselect", "pipe", "slice", "syntax", "unicode", "wildcard"),
)

pytestmark = [
    pytest.mark.skipif(
        not FOLDER.is_dir(),
        reason=f"no JMESPath compliance suite in {FOLDER}: set WEBHOOKD_TEST_JMESPATH_SUITE to its folder",
    ),
    pytest.mark.filterwarnings("ignore:deprecated string literal syntax:PendingDeprecationWarning"),
]

every_suite = pytest.mark.parametrize("suite", SUITES)

Case = tuple[str, bytes]


def cases(suite: str) -> list[tuple[Json, bytes]]:
    return [
        (case, json.dumps(group["given"]).encode())
        for group in json.loads((FOLDER / f"{suite}.json").read_bytes())
        for case in group["cases"]
    ]


def with_result(suite: str) -> list[Case]:
    return [(case["expression"], document) for case, document in cases(suite) if "result" in case]


def test_compliance_suite_is_complete() -> None:
    assert set(SUITES) <= {path.stem for path in FOLDER.glob("*.json")}
    assert sum(len(cases(suite)) for suite in SUITES) > 850


@every_suite
def test_library_gives_the_suites_results(suite: str) -> None:
    """The oracle itself: if a new version of the library returns something else, this test fails first."""
    for case, document in cases(suite):
        if "result" in case:
            assert jmespath.search(case["expression"], json.loads(document)) == case["result"], case["expression"]


@every_suite
def test_whole_records_match_the_library(suite: str) -> None:
    for expression, document in with_result(suite):
        assert compiled(expression, document) == expected(expression, document), expression


@every_suite
def test_partly_decoded_records_match_the_library(suite: str) -> None:
    for expression, document in with_result(suite):
        assert partly_decoded(expression, document) in {None, expected(expression, document)}, expression


@every_suite
def test_syntax_errors_of_suite_are_refused(suite: str) -> None:
    """Unknown functions and wrong numbers of arguments are refused too; other errors depend on the record."""
    refused = {"syntax", "unknown-function", "invalid-arity"}
    for case, _document in cases(suite):
        if case.get("error") in refused:
            with pytest.raises(InvalidFilter):
                parse(case["expression"])


@every_suite
def test_runtime_errors_of_suite_are_raised(suite: str) -> None:
    for case, document in cases(suite):
        if case.get("error") in {"invalid-type", "invalid-value"}:
            assert compiled(case["expression"], document) == expected(case["expression"], document), case["expression"]
