"""Which policy decides, and what conditions see of a record."""

import pytest

from tests.harness.topic_policies import allow, built, deny, exclude, governed, include
from webhookd.errors import InvalidFilter, InvalidInput, UndecodableRecord
from webhookd.flow.authorization.authorizer import TopicAuthorizer, Verdict
from webhookd.flow.authorization.record_source import RecordSource
from webhookd.flow.authorization.seen_record import DENIED_RECORD, Headers, PlainRecord, SeenRecord
from webhookd.flow.authorization.topic_matcher import shows_everything, topic_matcher
from webhookd.flow.authorization.validation import check_policy
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.policy.policy import OPEN_TOPIC, Policy, Projection, TopicPolicies


def seen(*policies: Policy, value: bytes | None, key: bytes | None = None, headers: Headers = ()) -> SeenRecord:
    return TopicAuthorizer(governed(*policies)).see(PlainRecord(value, key, headers))


def allowed(condition: str, value: bytes | None, key: bytes | None = None, headers: Headers = ()) -> bool:
    """Whether an allow with this condition lets the record through."""
    return seen(allow(condition), value=value, key=key, headers=headers) is not DENIED_RECORD


def denied(condition: str, value: bytes | None, key: bytes | None = None, headers: Headers = ()) -> bool:
    return seen(allow(), deny(condition), value=value, key=key, headers=headers) is DENIED_RECORD


def test_the_lowest_priority_alone_projects() -> None:
    policies = [
        allow("a", include("a"), priority=20, id="x"),
        allow("a", include("b"), priority=10, id="z"),
        allow("a", include("c"), priority=10, id="y"),
        allow("missing", include("d"), priority=1),
    ]
    assert seen(*policies, value=b'{"a":1,"b":2,"c":3,"d":4}').value == b'{"c":3}'


def test_a_projection_that_fails_is_not_replaced_by_the_next_one() -> None:
    decision = TopicAuthorizer(governed(allow("", built("x"), id="a"), allow(id="b"))).decide(b'{"a":1}')
    assert (decision.verdict, decision.policy_id, decision.seen) == (Verdict.PROJECTION_FAILED, "a", None)
    assert decision.detail == "the expression has the result null"


def test_a_topic_without_an_allow_denies_everything() -> None:
    assert seen(value=b"{}") is DENIED_RECORD
    assert seen(deny("x"), value=b"{}") is DENIED_RECORD


def test_decision_names_the_policy_and_the_conditions_that_failed() -> None:
    authorizer = TopicAuthorizer(governed(allow("n > 'x'", id="broken"), allow("n", id="good", priority=200)))
    decision = authorizer.decide(b'{"n":1}', b"k", [("h", None)])
    assert (decision.verdict, decision.policy_id) == (Verdict.ALLOWED, "good")
    assert decision.failed == (("broken", "'>' not supported between instances of 'int' and 'str'"),)
    assert decision.seen == SeenRecord(key=b"k", headers=(("h", None),), value=b'{"n":1}')
    assert authorizer.decide(b'{"n":null}').failed == ()
    assert authorizer.decide(b"{").verdict is Verdict.UNDECODABLE


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("\"@key\" == 'k1'", True),
        ("\"@key\" == 'other'", False),
        ('"@headers"."trace-id" == \'t\'', True),
        ("\"@headers\".binary.base64 == '/w=='", True),
        ('"@headers".nothing == null', True),
        ("\"@value\".status == 'paid' && status == 'paid'", True),
        ('"@value"."@key" == \'fake\'', True),
        ("type(@) == 'object' && !contains(keys(@), '@headers')", True),
        ('length(keys("@headers")) == `3`', True),
    ],
)
def test_conditions_see_key_and_headers_beside_the_value(condition: str, *, holds: bool) -> None:
    value = b'{"status":"paid","@key":"fake"}'
    headers = [("trace-id", b"t"), ("binary", b"\xff"), ("nothing", None)]
    assert allowed(condition, value, b"k1", headers) is holds
    assert denied(condition, value, b"k1", headers) is holds


@pytest.mark.parametrize("value", [b'{"@key":"k","@headers":{"h":"x"}}', None, b"[1]", b'"text"'])
def test_the_value_cannot_pass_for_key_or_headers(value: bytes | None) -> None:
    for condition in ("\"@key\" == 'k'", "\"@headers\".h == 'x'"):
        assert not allowed(condition, value)
        assert allowed(condition, value, b"k", [("h", b"x")])


def test_a_header_that_occurs_twice_fails_closed() -> None:
    twice, condition = [("h", b"a"), ("h", b"b"), ("other", b"c")], "\"@headers\".h == 'a'"
    assert not allowed(condition, b"{}", None, twice)
    assert denied(condition, b"{}", None, twice)
    assert not allowed('"@headers"', b"{}", None, twice)
    assert allowed("\"@headers\".other == 'c'", b"{}", None, twice)


def test_a_key_that_is_not_utf8_is_base64() -> None:
    assert allowed("\"@key\".base64 == '/w=='", b"{}", b"\xff")


@pytest.mark.parametrize(
    "expression", ['items[?"@key" == `1`]', 'order | "@headers".a', 'order."@key"', 'items[*].{a: "@value"}']
)
def test_key_and_headers_are_refused_where_they_would_read_the_value(expression: str) -> None:
    with pytest.raises(InvalidFilter, match="at the root only"):
        TopicAuthorizer(governed(allow(expression)))
    with pytest.raises(InvalidFilter, match="at the root only"):
        TopicAuthorizer(governed(allow("", built(expression))))


def test_a_tombstone_is_null_for_conditions_and_stays_a_tombstone() -> None:
    assert not allowed("status == 'paid'", None)
    assert allowed("@ == null", None)
    for projection in (include("a"), exclude("a"), built("{a: a}"), include("@value")):
        assert seen(allow("", projection), value=None).value is None
    assert seen(allow("", built('{a: a, key: "@key"}')), value=None, key=b"k").value == b'{"a":null,"key":"k"}'


@pytest.mark.parametrize(
    "value", [b'{"a":1,"a":2}', b'{"x":{"b":1, "b" :1}}', b'[{"a":1,"\\u0061":2}]', b'{"\\ud800":1,"\\ud800":1}']
)
@pytest.mark.parametrize("projection", [None, include("x"), exclude("x"), built("x")])
def test_an_object_with_a_name_twice_is_undecodable(value: bytes, projection: Projection | None) -> None:
    with pytest.raises(UndecodableRecord) as error:
        seen(allow("@", projection), value=value)
    assert (error.value.cause, error.value.detail) == (
        "duplicate_name",
        "the record is not shown, because its topic has a policy",
    )


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (b"{", "not_json"),
        (b'{"a":"\xff"}', "not_utf8"),
        (b'{"b":"\xff"}', "not_utf8"),
        (b'{"b":NaN}', "not_json"),
        (b"NaN", "not_json"),
        (b'\xef\xbb\xbf{"a":1}', "not_json"),
        (b"1" * 4301, "number_too_long"),
        (b'{"b":[' + b"1" * 4301 + b"]}", "number_too_long"),
        (b"[" * 200_000 + b"]" * 200_000, "too_deep"),
    ],
)
@pytest.mark.parametrize("condition", ["", "@", "a", '"@key"', "`false`"])
def test_a_value_that_is_not_json_is_undecodable_whatever_the_policies_are(
    value: bytes, cause: str, condition: str
) -> None:
    with pytest.raises(UndecodableRecord) as error:
        seen(allow(condition), value=value)
    assert error.value.cause == cause


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (allow("a =="), "condition"),
        (allow("", built("a[")), "projection.expression"),
        (allow("", include("a", "b..c")), "projection.include[1]"),
        (allow("", exclude()), "projection.exclude"),
        (Policy(id="i", topic="t", effect=deny().effect, projection=include("a")), "projection"),
        (allow("", Projection(kind=include("a").kind, paths=("a",), expression="a")), "projection.expression"),
    ],
)
def test_a_policy_that_cannot_be_evaluated_is_refused_with_its_field(policy: Policy, field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        check_policy(policy)
    assert error.value.field == field


def test_policies_that_can_be_evaluated_are_accepted() -> None:
    for policy in (allow(), deny("a > `1`"), allow("a", include("a[].b", "@key", '"x y"')), allow("", built("{a: a}"))):
        check_policy(policy)


def test_topics_that_show_everything_have_the_plain_matcher() -> None:
    assert isinstance(topic_matcher(OPEN_TOPIC, ["a"]), Matcher)
    assert isinstance(topic_matcher(governed(allow(), allow("x", include("a"), priority=200)), []), Matcher)
    for policies in (
        governed(),
        TopicPolicies(governed=False, open=False),
        governed(allow("x")),
        governed(allow("", include("a")), allow(priority=200)),
        governed(allow(), deny("x")),
    ):
        assert not shows_everything(policies)


def test_each_condition_has_a_budget_of_its_own() -> None:
    costly = " | ".join(["`[1]`", *["[@, @][]"] * 20])
    policies = governed(allow(costly, id="a"), allow("length(keys(@)) == `1`", id="b"))
    assert TopicAuthorizer(policies).decide(b'{"n":1}').policy_id == "b"


def test_an_open_topic_shows_everything() -> None:
    decision = TopicAuthorizer(OPEN_TOPIC).decide(b'{"a":1}', b"k", [("h", b"v")])
    assert decision.seen == SeenRecord(key=b"k", headers=(("h", b"v"),), value=b'{"a":1}')


def test_reserved_names_are_not_read_from_the_value() -> None:
    class Refusing:
        def read(self, path: tuple[str, ...]) -> object:
            raise AssertionError(path)

    RecordSource(Refusing()).read(("@key",))  # type: ignore[arg-type]  # must not be called
