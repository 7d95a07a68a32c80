"""The policies and filters of many subscriptions together give the answers of each one's own matcher."""

from collections import Counter
from random import Random

import pytest

from tests.harness.topic_policies import allow, built, deny, exclude, governed, include
from tests.unit.authorization.documents import Documents
from tests.unit.filters.shared_cases import SharedCases
from webhookd.errors import FilterFault, InvalidFilter, InvalidInput
from webhookd.flow.authorization.record_view import RecordView
from webhookd.flow.authorization.seen_record import Headers
from webhookd.flow.authorization.shared_matching import SharedMatching, is_shareable
from webhookd.flow.authorization.topic_matcher import topic_matcher
from webhookd.flow.batching.message import UNDECODABLE, Message
from webhookd.flow.policy.policy import OPEN_TOPIC, TopicPolicies

KEYS = 40
ROUNDS = 12
RECORDS = 25

CLOSED = governed()
POLICIES = (
    OPEN_TOPIC,
    CLOSED,
    governed(allow()),
    governed(allow("a == 'x'"), allow("a != `1`", include("@value.a", "@key")), deny("b == `true`")),
    governed(allow("a == 'x'"), allow("a != `1`", include("@value.a", "@key")), deny("b == `true`")),
    governed(deny("a > `1`"), allow(projection=exclude("@value.c"))),
    governed(allow("\"@key\" == 'k' || \"@headers\".h == 'v'", built("{a: a, b: c.b}"))),
    governed(allow(projection=exclude("@value.a.b"))),
)


class Record:
    """A message with what a test gives it."""

    def __init__(self, value: bytes | None, key: bytes | None = None, headers: Headers | None = ()) -> None:
        self._value, self._key, self._headers = value, key, headers

    def offset(self) -> int:
        return 7

    def timestamp(self) -> tuple[int, int]:
        return (1, 1000)

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        if self._headers is None:
            raise SystemError("a header's name is not UTF-8")
        return list(self._headers)


class Subscription:
    """One subscription's own policies and filters, decided one by one."""

    def __init__(self, policies: TopicPolicies, filters: list[str]) -> None:
        self.policies, self.filters = policies, filters
        self.matcher = topic_matcher(policies, filters)

    @property
    def denied(self) -> int:
        """How many records its policies have denied."""
        return self.matcher.denied

    def answer(self, message: Message) -> tuple[bool | None, Message]:
        """Whether it wants the record, None if it raises; and the record as it sees it."""
        (seen,) = self.matcher.views([message])
        try:
            return self.matcher.matches(seen.value()), seen
        except (FilterFault, *UNDECODABLE):
            return None, seen


def random_record(cases: SharedCases, documents: Documents) -> Record:
    random = cases.random
    value: bytes | None = documents.next() if random.random() < 0.1 else cases.record()
    if random.random() < 0.05:
        value = random.choice((None, b"null", b"{", b'{"a": "\xff"}', b'{"a": 1, "a": "x"}'))
    headers: Headers | None = random.choice(((), (("h", b"v"),), (("h", b"v"), ("h", b"w")), (("h", b"\xff"),)))
    return Record(value, random.choice((None, b"k", b"\xff")), None if random.random() < 0.03 else headers)


def parts(message: Message) -> tuple[object, ...]:
    """What a delivery shows of a record."""
    try:
        headers = message.headers()
    except SystemError:
        headers = None
    return message.offset(), message.timestamp(), message.key(), message.value(), headers


def change(
    random: Random, cases: SharedCases, matching: SharedMatching[int], subscriptions: dict[int, Subscription]
) -> None:
    """Remove some subscriptions, replace others and add new ones."""
    for key in random.sample(sorted(subscriptions), len(subscriptions) // random.choice((1, 2, 5))):
        matching.remove(key)
        del subscriptions[key]
    for key in [*random.sample(sorted(subscriptions), len(subscriptions) // 5), *range(KEYS)]:
        if len(subscriptions) == KEYS and key not in subscriptions:
            continue
        subscription = Subscription(random.choice(POLICIES), cases.filters())
        subscriptions[key] = subscription
        matching.add(key, subscription.policies, subscription.filters)


@pytest.mark.parametrize("seed", range(4))
def test_answers_are_those_of_one_by_one(seed: int) -> None:
    cases, documents, random = SharedCases(seed, whole=seed % 2 == 1), Documents(seed), Random(seed)  # noqa: S311 - test data
    matching: SharedMatching[int] = SharedMatching()
    subscriptions: dict[int, Subscription] = {}
    counts: Counter[str] = Counter()
    for _ in range(ROUNDS):
        change(random, cases, matching, subscriptions)
        assert len(matching) == len(subscriptions)
        denied = {key: one.denied for key, one in subscriptions.items()}
        denials: Counter[int] = Counter()
        for _ in range(RECORDS):
            compare(matching, subscriptions, random_record(cases, documents), counts, denials)
        for key, one in subscriptions.items():
            assert denials[matching.group(key)] == one.denied - denied[key]
    assert counts["True"] > 500
    assert counts["False"] > 500
    assert counts["None"] > 100
    assert counts["undecided without need"] < counts["None"] // 10


def compare(
    matching: SharedMatching[int],
    subscriptions: dict[int, Subscription],
    message: Message,
    counts: Counter[str],
    denials: Counter[int],
) -> None:
    """Check the answers about one record."""
    selections = matching.match(message, denials)
    wanted = {key: one.record for one in selections for key in one.wanted}
    undecided = {key for one in selections for key in one.undecided}
    assert not undecided & wanted.keys()
    assert all(one.wanted or one.undecided for one in selections)
    for key, subscription in subscriptions.items():
        expected, seen = subscription.answer(message)
        counts[str(expected)] += 1
        if key in undecided:
            counts["undecided without need"] += expected is not None
            continue
        assert (key in wanted) is expected, (subscription.policies, subscription.filters, parts(message))
        assert not expected or parts(wanted[key]) == parts(seen)


def test_equal_policies_are_evaluated_once_and_open_topics_use_the_message_itself() -> None:
    matching: SharedMatching[str] = SharedMatching()
    policies = [governed(allow("b == `1`", include("@value.a"), id="p1")) for _ in range(2)]
    matching.add("one", policies[0], ["a == 'x'"])
    matching.add("two", policies[1], ["a != 'x'"])
    matching.add("three", policies[1], [])
    matching.add("open", OPEN_TOPIC, [])
    matching.add("all", governed(allow(id="p2")), ["b"])
    message = Record(b'{"a": "x", "b": 1}')
    projected, whole = matching.match(message, Counter())
    assert isinstance(projected.record, RecordView)
    assert projected.record.value() == b'{"a":"x"}'
    assert (set(projected.wanted), projected.undecided) == ({"one", "three"}, [])
    assert whole.record is message
    assert set(whole.wanted) == {"open", "all"}


def test_denied_records_are_counted_once_for_all_with_the_policies() -> None:
    matching: SharedMatching[str] = SharedMatching()
    policies = governed(allow("a == 'x'"))
    denials: Counter[int] = Counter()
    matching.add("one", policies, [])
    assert matching.match(Record(b'{"a": "y"}'), denials) == []
    matching.add("two", policies, ["b"])
    matching.add("open", OPEN_TOPIC, ["b"])
    assert matching.match(Record(b'{"a": "z"}'), denials) == []
    assert matching.match(Record(b'{"a": "x"}'), denials)
    assert matching.group("one") == matching.group("two") != matching.group("open")
    assert denials == {matching.group("one"): 2}


@pytest.mark.parametrize("record", [Record(b"{"), Record(b'{"a": 1, "a": 2}'), Record(b'{"b": 1}', headers=None)])
def test_record_that_fails_in_a_group_is_undecided_for_all_of_it(record: Record) -> None:
    matching: SharedMatching[str] = SharedMatching()
    policies = governed(allow())
    projected = governed(allow(projection=include("@value", "@headers")))
    matching.add("raw", policies, [])
    matching.add("one", projected, ["c"])
    matching.add("two", projected, [])
    undecided = {key for one in matching.match(record, Counter()) for key in one.undecided}
    assert {"one", "two"} <= undecided
    assert ("raw" in undecided) == (record.value() == b"{")


def test_key_is_replaced_and_removed() -> None:
    matching: SharedMatching[str] = SharedMatching()
    matching.add("one", OPEN_TOPIC, ["a == 'x'"])
    matching.add("one", governed(allow("a")), ["a == 'y'"])
    assert len(matching) == 1
    assert matching.match(Record(b'{"a": "x"}'), Counter()) == []
    (selection,) = matching.match(Record(b'{"a": "y"}'), Counter())
    assert selection.wanted == ["one"]
    matching.remove("one")
    matching.remove("one")
    assert len(matching) == 0
    assert matching.match(Record(b'{"a": "y"}'), Counter()) == []


def test_filter_that_cannot_be_used_is_refused() -> None:
    matching: SharedMatching[str] = SharedMatching()
    for policies, filters in ((OPEN_TOPIC, ["a =="]), (governed(allow("a ==")), [])):
        with pytest.raises(InvalidInput):
            matching.add("one", policies, filters)
    assert len(matching) == 0
    assert matching.match(Record(b"{}"), Counter()) == []


@pytest.mark.parametrize(
    ("policies", "filters", "shareable"),
    [
        (OPEN_TOPIC, ["a == 'x' && b > `1`"], True),
        (OPEN_TOPIC, ["a", "b == c"], False),
        (OPEN_TOPIC, ["a[?b]"], False),
        (OPEN_TOPIC, ["length(a) > `1`"], False),
        (governed(allow("a == 'x'", include("@value.a"))), [], True),
        (governed(allow("contains(a, 'x')")), [], False),
        (governed(allow("a", built("{a: a}"))), [], True),
        (governed(allow("a", built("a[*].b"))), [], False),
        (governed(allow(priority=1), allow("contains(a, 'x')")), [], True),
        (CLOSED, [], True),
    ],
)
def test_only_what_takes_a_bounded_time_is_shareable(
    policies: TopicPolicies, filters: list[str], shareable: bool
) -> None:
    assert is_shareable(policies, filters) is shareable


def test_invalid_filter_is_not_said_to_be_shareable() -> None:
    with pytest.raises(InvalidFilter):
        is_shareable(OPEN_TOPIC, ["a =="])
