"""A subscription under a policy: what is counted, and that nothing of a record shows that its policies hide."""

import json

import pytest

from tests.harness.lanes import Record, lane
from tests.harness.subscription_consumers import ZERO, Scene
from tests.harness.subscriptions import subscription
from tests.harness.topic_policies import allow, deny, exclude, governed, include
from webhookd.errors import UnusableSubscription
from webhookd.flow.authorization.topic_matcher import PolicyMatcher
from webhookd.flow.batching.undecodable_records import IN_A_ROW
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.policy.policy import OPEN_TOPIC, Policy, TopicPolicies
from webhookd.flow.status.subscription_status import Health
from webhookd.flow.subscription import Source
from workers.ingest.consumer.consumer_factory import _matchers

SECRET = "s3cret"
HEADERS: list[tuple[str, bytes | None]] = [("auth", SECRET.encode()), ("trace", b"t")]


def message(value: bytes | None) -> Record:
    return Record(0, value, SECRET.encode(), tuple(HEADERS))


def taken(value: bytes | None, *policies: Policy, filters: tuple[str, ...] = ()) -> list[DeadLetter]:
    matcher = PolicyMatcher(governed(*policies), filters)
    return lane().take(matcher.views([message(value)]), matcher, 0.0)[1]


def test_denied_records_are_settled_and_counted_apart_from_filtered_ones() -> None:
    scene = Scene(policies=governed(allow("kind == 'a'")), filters=("n > `1`",))
    scene.reads(ZERO, b'{"kind":"a","n":1}', b'{"kind":"b","n":2}', b'{"kind":"b"}', b'{"kind":"a","n":2}')
    status = scene.consumer.status()
    assert (status.denied, status.filtered, len(scene.lane().waiting)) == (2, 1, 1)
    assert scene.committable() == {ZERO: 3}


def test_counters_of_denied_records_continue_after_a_restart() -> None:
    scene = Scene(policies=governed(allow("kind == 'a'")))
    scene.reads(ZERO, b'{"kind":"b"}')
    again = Scene(previous=scene.consumer.status(), policies=governed(allow("kind == 'a'")))
    again.reads(ZERO, b'{"kind":"b"}', at=1)
    assert again.consumer.status().denied == 2


def test_a_delivery_has_only_what_is_seen() -> None:
    matcher = PolicyMatcher(governed(allow("secret", include("n", "@headers.trace"))), ())
    one = lane()
    one.take(matcher.views([message(b'{"n":1.10,"secret":"s3cret"}')]), matcher, 0.0)
    assert SECRET.encode() not in one.waiting[0].text
    assert b'"key":null,"headers":[["trace","t"]],"value":{"n":1.10}' in one.waiting[0].text


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (b'{"secret":"s3cret"', "not_json"),
        (b'{"secret":"s3cret","secret":"s3cret"}', "duplicate_name"),
        (b'["s3cret"]', "projection_failed"),
        (b"NaN", "not_json"),
    ],
)
def test_a_record_that_cannot_be_judged_is_a_dead_letter_without_content(value: bytes, cause: str) -> None:
    (dead_letter,) = taken(value, allow("", exclude("secret"), id="p-1"))
    assert (dead_letter.key, dead_letter.value, dead_letter.headers) == (None, None, ())
    assert (dead_letter.cause, dead_letter.offset, dead_letter.timestamp_ms) == (cause, 0, 1_700_000_000_000)
    assert not {SECRET, "secret", "NaN"} & set(dead_letter.detail.split())
    if cause == "projection_failed":
        assert dead_letter.detail == "policy p-1 (version 1): its projection cannot be evaluated on the record"


def test_a_filter_that_raises_keeps_what_is_seen_in_the_dead_letter() -> None:
    value = b'{"n":1,"secret":"s3cret"}'
    (dead_letter,) = taken(value, allow("", include("n", "@headers.trace")), filters=("n > 'x'",))
    assert (dead_letter.cause, dead_letter.value) == ("filter_error", b'{"n":1}')
    assert (dead_letter.key, dead_letter.headers) == (None, (("trace", b"t"),))


@pytest.mark.parametrize(
    "filter_",
    ["secret", "contains(to_string(@), 's3cret')", "length(@) > `1`", "@ != null && keys(@)[1]", "values(@)[1]"],
)
def test_a_filter_is_no_oracle_for_hidden_members(filter_: str) -> None:
    """Two records that differ only in what is hidden have the same result."""
    results = set()
    for secret in (b'"s3cret"', b'""', b"null", b"[1,2]", b'{"a":1}'):
        matcher = PolicyMatcher(governed(allow("", exclude("secret", "more"))), (filter_,))
        one = lane()
        value = b'{"n":1,"secret":' + secret + b',"more":' + secret + b"}"
        dropped, dead_letters = one.take(matcher.views([message(value)]), matcher, 0.0)
        results.add((dropped, len(dead_letters), len(one.waiting), matcher.last_error))
    assert len(results) == 1


def test_a_long_run_of_undecodable_records_shows_nothing_of_them() -> None:
    frame = b"\x00\x00\x00\x00\x07s3cret-avro"
    scene = Scene(policies=governed(allow("", exclude("secret"))), filters=())
    scene.reads(ZERO, *[frame] * (IN_A_ROW + 5))
    scene.consumer.check()
    (problem,) = scene.consumer.health.problems.all
    assert problem.code == "records_unreadable"
    assert "schema" not in problem.detail
    assert scene.lane().undecodable_run.lookahead_offset == IN_A_ROW + 4
    scene.reads(ZERO, b'{"n":1}', at=IN_A_ROW + 5)
    assert scene.lane().undecodable_run.lookahead_offset is None


def test_a_denied_record_ends_a_run_of_undecodable_ones() -> None:
    scene = Scene(policies=governed(allow("n")), filters=())
    scene.reads(ZERO, *[b"{"] * (IN_A_ROW + 1))
    scene.reads(ZERO, b"{}", at=IN_A_ROW + 1)
    assert scene.lane().undecodable_run.decodable_offset == IN_A_ROW + 1


def test_a_projection_that_fails_is_no_error_of_a_filter() -> None:
    scene = Scene(policies=governed(allow("", exclude("a.b"))), filters=("missing",), drops_errors=True)
    scene.reads(ZERO, *[b'{"a":1}'] * 19)
    status = scene.consumer.status()
    assert (status.filter_errors, status.problems, scene.lane().ledger.dead_letter_count) == (0, (), 19)


def problems(scene: Scene) -> list[tuple[str, str]]:
    return [(problem.code, problem.detail) for problem in scene.consumer.status().problems]


def test_a_projection_that_keeps_failing_makes_unhealthy_until_it_succeeds() -> None:
    scene = Scene(policies=governed(allow("", exclude("a.b"), id="p-1")), filters=())
    scene.reads(ZERO, *[b'{"a":"s3cret"}'] * 20)
    detail = (
        "orders: policy p-1 (version 1): its projection cannot be evaluated on the record (20 of the last 20 records)"
    )
    assert problems(scene) == [("projection_failing", detail)]
    scene.consumer.delivery_succeeded()
    scene.consumer.check()
    assert scene.consumer.status().health is Health.UNHEALTHY
    scene.reads(ZERO, *[b'{"a":{"b":1}}'] * 50, at=20)
    assert scene.consumer.status().health is Health.HEALTHY


@pytest.mark.parametrize("version", [1, 2, None])
def test_the_problem_of_a_projection_survives_a_restart_and_ends_with_its_policy(version: int | None) -> None:
    before = Scene(policies=governed(allow("", exclude("a.b"), id="p-1")), filters=())
    before.reads(ZERO, *[b'{"a":1}'] * 20)
    policies = governed(allow("", exclude("a.b"), id="p-1", version=version)) if version else OPEN_TOPIC
    scene = Scene(policies=policies, filters=(), previous=before.consumer.status())
    scene.consumer.check()
    assert [code for code, _ in problems(scene)] == (["projection_failing"] if version == 1 else [])


def test_a_header_name_that_is_not_utf8_is_unreadable_only_if_headers_are_read() -> None:
    class Unreadable(Record):
        def headers(self) -> list[tuple[str, bytes | None]] | None:
            raise SystemError

    for policy, causes in ((allow("n", include("n")), []), (deny('"@headers".a'), ["unreadable"])):
        matcher = PolicyMatcher(governed(allow(priority=200), policy) if causes else governed(policy), ())
        dead_letters = lane().take(matcher.views([Unreadable(0, b'{"n":1}')]), matcher, 0.0)[1]
        assert [dead_letter.cause for dead_letter in dead_letters] == causes
        assert all(dead_letter.value is None for dead_letter in dead_letters)


@pytest.mark.parametrize("policies", [{}, {"other": OPEN_TOPIC}, {"orders": TopicPolicies(governed=True, open=True)}])
def test_a_topic_without_known_policies_or_without_an_allow_is_not_read(policies: dict[str, TopicPolicies]) -> None:
    subscribed = subscription(sources=(Source(topic="orders"),), policies=policies)
    with pytest.raises(UnusableSubscription, match="no policy allows"):
        _matchers(subscribed)


def test_policies_that_cannot_be_compiled_stop_the_subscription() -> None:
    subscribed = subscription(sources=(Source(topic="orders"),), policies={"orders": governed(allow("a =="))})
    with pytest.raises(UnusableSubscription):
        _matchers(subscribed)


def test_rendered_values_are_json_with_the_text_of_each_number() -> None:
    matcher = PolicyMatcher(governed(allow("", exclude("secret"))), ())
    one = lane()
    value = b'{ "secret": 1, "n": 1.10, "big": 123456789012345678901234567890 }'
    one.take(matcher.views([message(value)]), matcher, 0.0)
    assert b'"value":{"n":1.10,"big":123456789012345678901234567890}' in one.waiting[0].text
    json.loads(one.waiting[0].text)
