"""Which copy of dead letters is written next, and which are given up. The test sets the times."""

from tests.harness.dead_letters import dead_letter
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.flow.dead_letter import CopyFailure, FailedCopy
from webhookd.flow.settlement.dead_letter_copies import (
    FIRST_PAUSE_S,
    MAX_AGE_S,
    MAX_PAUSE_S,
    MAX_TOPIC_RECORDS,
    MAX_TOTAL_BYTES,
    DeadLetterCopies,
    DeadLetterCopy,
)


def copy(topic: str = "dead", offset: int = 0, *, of: str = ID, since: float = 0.0, count: int = 1) -> DeadLetterCopy:
    dead_letters = [dead_letter(of, offset + n) for n in range(count)]
    return DeadLetterCopy(topic=topic, subscription=subscription(of), dead_letters=dead_letters, since=since)


def refused(of: DeadLetterCopy, failure: CopyFailure = CopyFailure.REFUSED) -> list[FailedCopy]:
    return [FailedCopy(left, failure) for left in of.dead_letters]


def next_copy(copies: DeadLetterCopies, now: float) -> DeadLetterCopy:
    found = copies.next(now)
    assert found is not None
    return found


def with_waiting(*waiting: DeadLetterCopy) -> DeadLetterCopies:
    copies = DeadLetterCopies()
    for one in waiting:
        copies.add(one)
    return copies


def test_copies_are_written_in_order() -> None:
    copies, order = with_waiting(copy(offset=1), copy(offset=2)), []
    for _ in range(2):
        found = next_copy(copies, 0.0)
        order.append(found.dead_letters[0].offset)
        copies.attempted(found, [], 0.0)
    assert (order, copies.next(0.0), copies.problem("dead", ID, 0.0)) == ([1, 2], None, "")


def test_failed_copy_waits_longer_each_time() -> None:
    copies, now, pauses = with_waiting(copy()), 0.0, []
    for _ in range(9):
        found = next_copy(copies, now)
        copies.attempted(found, refused(found), now)
        pauses.append(copies.wait_s(now))
        now += pauses[-1] or 0.0
    assert pauses == [FIRST_PAUSE_S * 2**n for n in range(6)] + [MAX_PAUSE_S] * 3


def test_failing_topic_does_not_delay_another() -> None:
    copies = with_waiting(copy("bad"), copy("bad", 1), copy("well"))
    found = next_copy(copies, 0.0)
    copies.attempted(found, refused(found), 0.0)
    assert (next_copy(copies, 0.0).topic, copies.next(0.0)) == ("well", None)


def test_written_record_is_not_written_again() -> None:
    copies = with_waiting(copy(count=3))
    found = next_copy(copies, 0.0)
    copies.attempted(found, refused(found)[1:2], 0.0)
    assert [left.offset for left in next_copy(copies, FIRST_PAUSE_S).dead_letters] == [1]


def test_refused_record_does_not_block_later_ones() -> None:
    copies, now, order = with_waiting(copy(offset=1), copy(offset=2)), 0.0, []
    for _ in range(3):
        found = next_copy(copies, now)
        order.append(found.dead_letters[0].offset)
        copies.attempted(found, refused(found) if found.dead_letters[0].offset == 1 else [], now)
        now += copies.wait_s(now) or 0.0
    assert order == [1, 2, 1]


def test_problem_lasts_until_the_failed_copy_is_written() -> None:
    copies = with_waiting(copy(offset=1), copy(offset=2))
    first = next_copy(copies, 0.0)
    copies.attempted(first, refused(first), 0.0)
    copies.attempted(next_copy(copies, 1.0), [], 1.0)
    during = copies.problem("dead", ID, 0.0)
    copies.attempted(next_copy(copies, 1.0), [], 1.0)
    assert (during, copies.problem("dead", ID, 0.0)) == (f"dead {CopyFailure.REFUSED.value}", "")


def test_problem_belongs_to_its_subscription() -> None:
    copies = with_waiting(copy(of=ID))
    found = next_copy(copies, 0.0)
    copies.attempted(found, refused(found), 0.0)
    assert (copies.problem("dead", OTHER_ID, 0.0), copies.problem("other", ID, 0.0)) == (None, None)


def test_old_copies_are_given_up() -> None:
    copies = with_waiting(copy(offset=1, since=0.0), copy(offset=2, since=10.0))
    assert [given_up.dead_letters[0].offset for given_up in copies.give_up(MAX_AGE_S + 1.0)] == [1]
    assert len(copies) == 1


def test_oldest_of_too_many_are_given_up_and_counted() -> None:
    copies = with_waiting(
        copy(offset=7, since=5.0), copy(offset=8, since=0.0), copy(count=MAX_TOPIC_RECORDS - 1, since=9.0)
    )
    found = next_copy(copies, 10.0)
    copies.attempted(found, refused(found), 10.0)
    assert [given_up.dead_letters[0].offset for given_up in copies.give_up(10.0)] == [8]
    assert copies.problem("dead", ID, 0.0) == f"dead {CopyFailure.REFUSED.value}; 1 copies were given up"


def test_copies_of_the_largest_topic_are_given_up() -> None:
    large = [dead_letter(ID, n, MAX_TOTAL_BYTES // 4) for n in range(4)]
    copies = with_waiting(copy("small"))
    for n, one in enumerate(large):
        copies.add(DeadLetterCopy(topic="large", subscription=subscription(), dead_letters=[one], since=float(n)))
    assert [(gone.topic, gone.since) for gone in copies.give_up(5.0)] == [("large", 0.0)]


def test_failure_expires_without_further_attempts() -> None:
    copies = with_waiting(copy())
    found = next_copy(copies, 0.0)
    copies.attempted(found, refused(found), 0.0)
    while_waiting = copies.problem("dead", ID, MAX_AGE_S + 1.0)
    copies.give_up(MAX_AGE_S + 1.0)
    assert (bool(while_waiting), copies.problem("dead", ID, MAX_AGE_S + 1.0)) == (True, "")


def test_copies_of_subscriptions_that_are_not_current_are_withdrawn() -> None:
    copies = with_waiting(copy(offset=1), copy(offset=2, of=OTHER_ID), copy("other", 3))
    copies.withdraw(lambda one: one.id == OTHER_ID)
    assert (next_copy(copies, 0.0).dead_letters[0].offset, len(copies)) == (2, 0)


def test_withdrawn_copy_has_ended_when_its_attempt_has() -> None:
    copies = with_waiting(copy())
    found = next_copy(copies, 0.0)
    copies.withdraw(lambda _: True)
    before = copies.withdrawn_ended
    copies.withdraw(lambda _: False)
    during = copies.withdrawn_ended
    copies.attempted(found, refused(found), 0.0)
    assert (before, during, copies.withdrawn_ended, len(copies)) == (True, False, True, 0)


def test_postponed_copy_is_the_next_one_after_a_pause() -> None:
    copies = with_waiting(copy(offset=1), copy(offset=2))
    assert copies.postpone(next_copy(copies, 0.0), 0.0) == []
    assert (copies.next(0.0), copies.wait_s(0.0)) == (None, FIRST_PAUSE_S)
    assert next_copy(copies, FIRST_PAUSE_S).dead_letters[0].offset == 1
    assert copies.problem("dead", ID, 0.0) is None


def test_copy_that_is_withdrawn_before_it_is_postponed_does_not_come_back() -> None:
    copies = with_waiting(copy())
    found = next_copy(copies, 0.0)
    copies.withdraw(lambda _: False)
    copies.postpone(found, 0.0)
    assert (len(copies), copies.withdrawn_ended) == (0, True)
