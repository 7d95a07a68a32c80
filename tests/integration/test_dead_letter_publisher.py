"""Copies of dead letters to Kafka topics. Real: the thread and its queue. Fake: the topics."""

from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from threading import Event

import pytest

from tests.harness.dead_letters import dead_letter
from tests.harness.subscriptions import ID, subscription
from webhookd import clock
from webhookd.flow.dead_letter import CopyFailure, DeadLetter, FailedCopy
from webhookd.flow.subscription import Retry, Subscription
from workers.ingest.settlement.dead_letter_publisher import DeadLetterPublisher

PATIENCE_S = 20.0


class Topics:
    """Accept every dead letter, except for the topics in `broken` or `faulty`; `written` has all calls."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.faulty: set[str] = set()
        self.written: SimpleQueue[tuple[str, list[int]]] = SimpleQueue()
        self.gate = Event()
        self.gate.set()
        self.began = Event()

    def append(self, topic: str, dead_letters: Sequence[DeadLetter], timeout_s: float) -> list[FailedCopy]:
        """Return what the test has set."""
        assert timeout_s > 0
        self.began.set()
        assert self.gate.wait(PATIENCE_S)
        self.written.put((topic, [one.offset for one in dead_letters]))
        if topic in self.faulty:
            raise AssertionError("an unexpected error")
        return [FailedCopy(one, CopyFailure.MISSING) for one in dead_letters] if topic in self.broken else []


class Gate:
    """Whether copies may be written; `asked` has each request."""

    def __init__(self) -> None:
        self.open = True
        self.asked: SimpleQueue[bool] = SimpleQueue()

    def __call__(self) -> bool:
        self.asked.put(self.open)
        return self.open


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def topics() -> Topics:
    return Topics()


@pytest.fixture
def dead_letter_publisher(topics: Topics, gate: Gate) -> Iterator[DeadLetterPublisher]:
    made = DeadLetterPublisher(topics, clock.monotonic, gate)
    made.start()
    yield made
    topics.gate.set()
    made.stop(PATIENCE_S)


def of(topic: str) -> Subscription:
    return subscription(retry=Retry(dead_letter_topic=topic))


def tried(dead_letter_publisher: DeadLetterPublisher, topic: str, offset: int = 7) -> Event:
    """Append one dead letter; the event is set once its lane may continue."""
    done = Event()
    dead_letter_publisher.append(of(topic), [dead_letter(ID, offset)], done.set)
    return done


def test_lane_continues_after_the_copy(dead_letter_publisher: DeadLetterPublisher, topics: Topics) -> None:
    topics.gate.clear()
    done = tried(dead_letter_publisher, "dead")
    before = done.is_set()
    topics.gate.set()
    assert done.wait(PATIENCE_S)
    assert (before, dead_letter_publisher.failure_of("dead", ID)) == (False, "")


@pytest.mark.parametrize("how", ["broken", "faulty"])
def test_lane_continues_after_a_failed_copy(
    dead_letter_publisher: DeadLetterPublisher, topics: Topics, how: str
) -> None:
    getattr(topics, how).add("dead")
    assert tried(dead_letter_publisher, "dead").wait(PATIENCE_S)
    assert tried(dead_letter_publisher, "dead").is_set()
    assert (dead_letter_publisher.failure_of("dead", ID) or "").startswith("dead ")


def test_failed_copy_is_tried_again(dead_letter_publisher: DeadLetterPublisher, topics: Topics) -> None:
    topics.broken.add("dead")
    assert tried(dead_letter_publisher, "dead", 1).wait(PATIENCE_S)
    topics.broken.clear()
    assert [topics.written.get(timeout=PATIENCE_S) for _ in range(2)] == [("dead", [1])] * 2
    later = tried(dead_letter_publisher, "dead", 2)
    assert later.wait(PATIENCE_S)
    assert dead_letter_publisher.failure_of("dead", ID) == ""


def test_lanes_that_wait_for_a_failing_topic_continue(
    dead_letter_publisher: DeadLetterPublisher, topics: Topics
) -> None:
    topics.broken.add("dead")
    topics.gate.clear()
    done = [tried(dead_letter_publisher, "dead", offset) for offset in range(5)]
    topics.gate.set()
    assert all(one.wait(PATIENCE_S) for one in done)


def test_failing_topic_delays_no_other(dead_letter_publisher: DeadLetterPublisher, topics: Topics) -> None:
    topics.broken.add("dead")
    assert tried(dead_letter_publisher, "dead").wait(PATIENCE_S)
    assert tried(dead_letter_publisher, "well").wait(PATIENCE_S)
    assert dead_letter_publisher.failure_of("well", ID) == ""


def test_withdrawn_copies_are_not_written(dead_letter_publisher: DeadLetterPublisher, topics: Topics) -> None:
    topics.broken.add("dead")
    for offset in (1, 2):
        assert tried(dead_letter_publisher, "dead", offset).wait(PATIENCE_S)
    assert topics.written.get(timeout=PATIENCE_S) == ("dead", [1])
    dead_letter_publisher.withdraw(lambda one: one.id != ID)
    topics.broken.clear()
    assert tried(dead_letter_publisher, "dead", 3).wait(PATIENCE_S)
    assert topics.written.get(timeout=PATIENCE_S) == ("dead", [3])


def test_a_copy_that_is_withdrawn_during_its_attempt_is_not_tried_again(
    dead_letter_publisher: DeadLetterPublisher, topics: Topics
) -> None:
    topics.broken.add("dead")
    assert tried(dead_letter_publisher, "dead", 1).wait(PATIENCE_S)
    assert topics.written.get(timeout=PATIENCE_S) == ("dead", [1])
    topics.gate.clear()
    topics.began.clear()
    assert topics.began.wait(PATIENCE_S)
    dead_letter_publisher.withdraw(lambda one: one.id != ID)
    topics.gate.set()
    assert topics.written.get(timeout=PATIENCE_S) == ("dead", [1])
    topics.broken.clear()
    assert tried(dead_letter_publisher, "dead", 2).wait(PATIENCE_S)
    assert topics.written.get(timeout=PATIENCE_S) == ("dead", [2])


def test_withdrawn_attempt_is_over_when_it_has_ended(
    dead_letter_publisher: DeadLetterPublisher, topics: Topics
) -> None:
    topics.gate.clear()
    done = tried(dead_letter_publisher, "dead")
    assert topics.began.wait(PATIENCE_S)
    dead_letter_publisher.withdraw(lambda _: False)
    assert not dead_letter_publisher.withdrawn_ended
    topics.gate.set()
    assert done.wait(PATIENCE_S)
    assert dead_letter_publisher.withdrawn_ended


def test_nothing_is_written_while_the_policies_may_be_others(
    dead_letter_publisher: DeadLetterPublisher, topics: Topics, gate: Gate
) -> None:
    gate.open = False
    assert tried(dead_letter_publisher, "dead", 1).wait(PATIENCE_S)
    assert [gate.asked.get(timeout=PATIENCE_S) for _ in range(2)] == [False, False]
    assert topics.written.empty()
    gate.open = True
    assert topics.written.get(timeout=PATIENCE_S) == ("dead", [1])


def test_stopped_publisher_writes_nothing_later(dead_letter_publisher: DeadLetterPublisher, topics: Topics) -> None:
    topics.gate.clear()
    tried(dead_letter_publisher, "dead")
    assert topics.began.wait(PATIENCE_S)
    assert not dead_letter_publisher.stop(0.0)
    topics.gate.set()
    assert dead_letter_publisher.stop(PATIENCE_S)
