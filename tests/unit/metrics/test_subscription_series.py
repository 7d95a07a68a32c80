"""Which subscriptions have series of their own, and that no event is lost or counted twice over all series.

Oracle: a model that adds up what it has given, and what the series that disappeared had.
"""

from hypothesis import given
from hypothesis import strategies as st

from webhookd.metrics.series_totals import OTHER, SHOWN_S, SeriesTotals
from webhookd.metrics.subscription_series import REVIEW_S, SubscriptionSeries

IDS = [f"s{number}" for number in range(6)]


def chosen(bound: int, *records: int) -> SubscriptionSeries:
    """The choice after a first second with this traffic of s0, s1 …, all of them healthy."""
    made = SubscriptionSeries(bound, 0.0)
    made.update(set(IDS[: len(records)]), set(), dict(zip(IDS, records, strict=False)), 1.0)
    return made


def test_all_have_series_within_the_bound() -> None:
    assert chosen(3, 0, 5, 1).ids == {"s0", "s1", "s2"}


def test_the_busiest_have_series_beyond_the_bound() -> None:
    assert chosen(2, 1, 9, 5).ids == {"s1", "s2"}


def test_nobody_has_series_with_a_bound_of_zero() -> None:
    assert chosen(0, 1, 9).ids == set()


def test_an_unhealthy_one_replaces_the_healthy_one_with_least_traffic() -> None:
    made = chosen(2, 0, 9, 5)
    made.update({"s0", "s1", "s2"}, {"s0"}, {}, 2.0)
    assert made.ids == {"s0", "s1"}


def test_one_that_recovers_keeps_its_series() -> None:
    made = chosen(2, 0, 9, 5)
    made.update({"s0", "s1", "s2"}, {"s0"}, {}, 2.0)
    made.update({"s0", "s1", "s2"}, set(), {"s2": 1000}, 3.0)
    assert made.ids == {"s0", "s1"}


def test_a_busier_one_waits_for_the_review() -> None:
    made = chosen(1, 10, 5)
    made.update({"s0", "s1"}, set(), {"s1": 1000}, REVIEW_S - 1)
    assert made.ids == {"s0"}
    made.update({"s0", "s1"}, set(), {}, REVIEW_S)
    assert made.ids == {"s1"}


def test_one_with_about_the_same_traffic_replaces_nobody() -> None:
    made = chosen(1, 100, 99)
    for minute in range(1, 5):
        made.update({"s0", "s1"}, set(), {"s0": 100, "s1": 150}, minute * REVIEW_S)
        assert made.ids == {"s0"}


def test_earlier_traffic_counts_less() -> None:
    made = chosen(1, 1000, 0)
    for minute in range(1, 9):
        made.update({"s0", "s1"}, set(), {"s1": 100}, minute * REVIEW_S)
    assert made.ids == {"s1"}


def test_a_stopped_one_makes_room() -> None:
    made = chosen(1, 10, 5, 7)
    made.update({"s1", "s2"}, set(), {}, 2.0)
    assert made.ids == {"s2"}


def dropped(*labels: str, bound: int = 10) -> SeriesTotals:
    """Totals of these labels, each 5, that were dropped at 100, one after the other."""
    made = SeriesTotals(1, bound)
    made.keep(labels, 0.0)
    for label in labels:
        made.add(label, (5,))
    for number in range(len(labels)):
        made.keep(labels[number + 1 :], 100.0)
    return made


def test_dropped_label_is_shown_for_a_minute_and_gets_no_more() -> None:
    made = dropped("s0")
    made.keep([], 100.0 + SHOWN_S - 1)
    made.add("s0", (7,))
    assert made.values() == {"s0": (5,), OTHER: (7,)}
    made.keep([], 100.0 + SHOWN_S)
    assert made.values() == {OTHER: (7,)}


def test_label_that_is_kept_again_within_a_minute_continues() -> None:
    made = dropped("s0")
    made.keep(["s0"], 101.0)
    made.add("s0", (2,))
    made.keep(["s0"], 100.0 + SHOWN_S)
    assert made.values() == {"s0": (7,), OTHER: (0,)}


def test_no_more_dropped_labels_than_the_bound_are_shown() -> None:
    assert dropped("s0", "s1", "s2", bound=2).values().keys() == {"s1", "s2", OTHER}
    assert dropped("s0", bound=0).values().keys() == {OTHER}


SECONDS = st.lists(
    st.tuples(
        st.sets(st.sampled_from(IDS)),
        st.sets(st.sampled_from(IDS)),
        st.dictionaries(st.sampled_from(IDS), st.integers(1, 50)),
    )
)
"""For each second who is present, who of them is unhealthy, and who has had how many events (stopped ones, too)."""


@given(SECONDS, st.integers(0, 4), st.integers(1, 90))
def test_every_event_is_in_one_series(
    seconds: list[tuple[set[str], set[str], dict[str, int]]], bound: int, step_s: int
) -> None:
    made, totals = SubscriptionSeries(bound, 0.0), SeriesTotals(2, bound)
    given_sum, disappeared = 0, 0
    for second, (present, unhealthy, records) in enumerate(seconds):
        before = totals.values()
        made.update(present, unhealthy & present, records, float(second * step_s))
        totals.keep(made.ids, float(second * step_s))
        for id_, number in records.items():
            totals.add(id_, (number, 2 * number))
        after = totals.values()
        given_sum += sum(records.values())
        disappeared += sum(value[0] for label, value in before.items() if label not in after)
        assert sum(value[0] for value in after.values()) + disappeared == given_sum
        assert all(value[1] == 2 * value[0] for value in after.values())
        assert all(after[label] >= before[label] for label in before.keys() & after.keys())
        assert after.keys() >= made.ids | {OTHER}
        assert len(after) <= 2 * bound + 1
        assert len(made.ids) <= bound
        assert made.ids <= present
        assert len(made.ids) == min(bound, len(present))


@given(SECONDS, st.integers(0, 4))
def test_no_unhealthy_one_waits_behind_a_healthy_one(
    seconds: list[tuple[set[str], set[str], dict[str, int]]], bound: int
) -> None:
    made = SubscriptionSeries(bound, 0.0)
    for second, (present, unhealthy, records) in enumerate(seconds):
        made.update(present, unhealthy & present, records, float(second * 30))
        assert not (unhealthy & present) - made.ids or made.ids <= unhealthy


@given(SECONDS, st.integers(0, 4))
def test_nothing_changes_while_nothing_happens(
    seconds: list[tuple[set[str], set[str], dict[str, int]]], bound: int
) -> None:
    made = SubscriptionSeries(bound, 0.0)
    for second, (present, unhealthy, records) in enumerate(seconds):
        made.update(present, unhealthy & present, records, float(second))
        before = set(made.ids)
        made.update(present, unhealthy & present, {}, float(second))
        assert made.ids == before
