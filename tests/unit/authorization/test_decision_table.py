"""Every combination of a deny, an allow, a projection and a filter: what happens to the record, and what is seen.

The expectations are computed from the rules in words (`expected`), not from the code.
"""

import itertools
import json
from collections.abc import Mapping

import pytest

from tests.harness.lanes import Record, lane
from tests.harness.topic_policies import allow, built, deny, exclude, governed, include
from webhookd.flow.authorization.topic_matcher import PolicyMatcher
from webhookd.flow.policy.policy import Policy, Projection

VALUE = b'{"kind":"order","total":1.10,"secret":"s3cret","tags":null}'
COSTLY = " | ".join(["`[1]`", *["[@, @][]"] * 20])

CONDITIONS: Mapping[str, str] = {
    "holds": "kind == 'order'",
    "does not hold": "kind == 'refund'",
    "raises": "total > 'x'",
    "too costly": COSTLY,
}
PROJECTIONS: Mapping[str, tuple[Projection | None, bytes | None]] = {
    "none": (None, VALUE),
    "include": (include("kind", "total"), b'{"kind":"order","total":1.10}'),
    "exclude": (exclude("secret", "tags"), b'{"kind":"order","total":1.10}'),
    "expression": (built("{kind: kind, total: total}"), b'{"kind":"order","total":1.10}'),
    "include fails": (include("[].kind", "@value[]"), b"{}"),
    "exclude fails": (exclude("kind.name"), None),
    "expression raises": (built("total > 'x'"), None),
    "expression too costly": (built(COSTLY), None),
    "expression is null": (built("missing"), None),
}
"""Each projection, and the value that is seen with it; None if it fails."""

FILTERS: Mapping[str, str] = {
    "none": "",
    "passes": "!(secret == 'other')",
    "rejects": "kind == 'refund'",
    "raises": "total > 'x'",
    "on a hidden field": "secret",
}
NONE = "none"


def expected(deny_: str, allow_: str, projection: str, filter_: str) -> tuple[str, bytes | None]:
    """What happens to the record (the cause, for a dead letter), and what is seen of it."""
    if deny_ not in {NONE, "does not hold"} or allow_ != "holds":
        return "denied", None
    seen = PROJECTIONS[projection][1]
    if seen is None:
        return "projection_failed", None
    document = json.loads(seen)
    match filter_:
        case "rejects":
            return "filtered", None
        case "raises" if "total" in document:
            return "filter_error", seen
        case "raises":  # null is compared with a string: null, which is false
            return "filtered", None
        case "on a hidden field" if "secret" not in document:
            return "filtered", None
    return "delivered", seen


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize("projection", PROJECTIONS)
def test_every_combination_has_the_documented_result(projection: str, filter_: str) -> None:
    for deny_, allow_ in itertools.product((NONE, *CONDITIONS), (NONE, *CONDITIONS)):
        policies: list[Policy] = []
        if deny_ != NONE:
            policies.append(deny(CONDITIONS[deny_]))
        if allow_ != NONE:
            policies.append(allow(CONDITIONS[allow_], PROJECTIONS[projection][0]))
        result = happens(policies, [FILTERS[filter_]] if FILTERS[filter_] else [])
        assert result == expected(deny_, allow_, projection, filter_), (deny_, allow_)


def happens(policies: list[Policy], filters: list[str]) -> tuple[str, bytes | None]:
    matcher = PolicyMatcher(governed(*policies), filters)
    one = lane()
    dropped, dead_letters = one.take(matcher.views([Record(4, VALUE)]), matcher, 0.0)
    if dead_letters:
        assert one.ledger.dead_letter_count == 1
        return dead_letters[0].cause, dead_letters[0].value
    if dropped:
        assert one.ledger.watermark == 5  # settled
        return "denied" if matcher.denied else "filtered", None
    return "delivered", one.waiting[0].text.partition(b'"value":')[2][:-1]
