"""The oracle of filters: which records are wanted, and which nobody can judge.

Oracle: the verdicts of docs/how-to/filter.md, written out; and webhookd's own engine, which must agree for each record.
"""

import pytest

from webhookd.errors import FilterFault, UndecodableRecord
from webhookd.flow.filters.matcher import Matcher
from webhookd_load_test.compare.filter_oracle import FilterOracle, Selection

WANTED, DROPPED, UNDECIDED = "wanted", "dropped", "undecided"

CASES = [
    ([], b'{"a":1}', WANTED),
    ([], b"null", WANTED),
    ([], b"{", UNDECIDED),
    ([], b"NaN", UNDECIDED),
    ([], b'"\xff"', UNDECIDED),
    ([], b"[" * 100_000, UNDECIDED),
    ([], b"1" * 5000, UNDECIDED),
    (["a"], b'{"a":0}', WANTED),
    (["a"], b'{"a":""}', DROPPED),
    (["a"], b'{"a":[]}', DROPPED),
    (["a"], b'{"a":{}}', DROPPED),
    (["a"], b'{"a":false}', DROPPED),
    (["a"], b'{"a":" "}', WANTED),
    (["a"], b"{}", DROPPED),
    (["a == `1`", "b == 'x'"], b'{"a":1,"b":"x"}', WANTED),
    (["a == `1`", "b == 'x'"], b'{"a":1,"b":"y"}', DROPPED),
    (["a == `1`"], b'{"a":true}', DROPPED),
    (["contains(tags, 'x')"], b"{}", UNDECIDED),
    (["contains(tags, 'x')", "a"], b"{}", DROPPED),
    (["a", "contains(tags, 'x')"], b"{}", DROPPED),
    (["contains(tags, 'x')", "a"], b'{"a":1}', UNDECIDED),
    (["total > '2'"], b'{"total":3}', UNDECIDED),
    (["ceil(a) > `1`"], b'{"a":1e999}', UNDECIDED),
    (["not_null(a, b) == 'x'"], b"not JSON", UNDECIDED),
]


@pytest.mark.parametrize(("filters", "payload", "verdict"), CASES)
def test_verdict(filters: list[str], payload: bytes, verdict: str) -> None:
    selection = Selection(["t"], filters)
    oracle = FilterOracle([selection])
    oracle.add(7, "other", payload)
    oracle.add(8, "t", payload)
    told = {WANTED: list(selection.wanted), UNDECIDED: list(selection.undecided)}
    assert told == {name: [8] if name == verdict else [] for name in told}
    assert engine(filters, payload) == verdict


def engine(filters: list[str], payload: bytes) -> str:
    try:
        return WANTED if Matcher(filters).matches(payload) else DROPPED
    except (FilterFault, UndecodableRecord):
        return UNDECIDED


def test_selections_are_judged_by_themselves() -> None:
    one, other, both = Selection(["t"], ["a"]), Selection(["t"], ["a", "b"]), Selection(["t", "u"], ["b"])
    oracle = FilterOracle([one, other, both])
    oracle.add(0, "t", b'{"a":1}')
    oracle.add(1, "t", b'{"a":1,"b":1}')
    oracle.add(2, "u", b'{"a":1,"b":1}')
    assert (list(one.wanted), list(other.wanted), list(both.wanted)) == ([0, 1], [1], [1, 2])
