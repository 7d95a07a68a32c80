"""The official compliance suite: the compiled closures answer what the library does."""

import json
from pathlib import Path

import jmespath
import pytest

from tests.unit.filters.oracle import Json, compiled, expected, partly_decoded
from webhookd.errors import InvalidFilter
from webhookd.flow.filters.expression import parse

pytestmark = pytest.mark.filterwarnings("ignore:deprecated string literal syntax:PendingDeprecationWarning")

SUITES = sorted((Path(__file__).parent / "compliance").glob("*.json"))

Case = tuple[str, bytes]


def cases(suite: Path) -> list[tuple[Json, bytes]]:
    return [
        (case, json.dumps(group["given"]).encode())
        for group in json.loads(suite.read_bytes())
        for case in group["cases"]
    ]


def answered(suite: Path) -> list[Case]:
    return [(case["expression"], document) for case, document in cases(suite) if "result" in case]


def test_compliance_suite_is_there() -> None:
    assert sum(len(cases(suite)) for suite in SUITES) > 850


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_library_gives_the_suites_results(suite: Path) -> None:
    """The oracle itself: should the library change its mind, it is seen here and not in the comparisons."""
    for case, document in cases(suite):
        if "result" in case:
            assert jmespath.search(case["expression"], json.loads(document)) == case["result"], case["expression"]


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_whole_records_answer_as_library(suite: Path) -> None:
    for expression, document in answered(suite):
        assert compiled(expression, document) == expected(expression, document), expression


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_partly_decoded_records_answer_as_library(suite: Path) -> None:
    for expression, document in answered(suite):
        assert partly_decoded(expression, document) in {None, expected(expression, document)}, expression


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_syntax_errors_of_suite_are_refused(suite: Path) -> None:
    """Unknown functions and arities too; errors that depend on the record show when it comes."""
    refused = {"syntax", "unknown-function", "invalid-arity"}
    for case, _document in cases(suite):
        if case.get("error") in refused:
            with pytest.raises(InvalidFilter):
                parse(case["expression"])


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_runtime_errors_of_suite_are_raised(suite: Path) -> None:
    for case, document in cases(suite):
        if case.get("error") in {"invalid-type", "invalid-value"}:
            assert compiled(case["expression"], document) == expected(case["expression"], document), case["expression"]
