"""Copies of dead letters on their thread. Real: the thread and its queue. Doubled: the topics, and the clock."""

from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from threading import Event

import pytest

from tests.harness.letters import letter
from tests.harness.subscriptions import ID
from webhookd import clock
from webhookd.flow.dead_letter import CopyFailure, DeadLetter, Uncopied
from workers.ingest.graveyard import Graveyard

PATIENCE_S = 20.0


class Topics:
    """Take every letter, but for the topics that a test has `broken`; `written` is what was asked for."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.faulty: set[str] = set()
        self.written: SimpleQueue[tuple[str, list[int]]] = SimpleQueue()
        self.gate = Event()
        self.gate.set()

    def append(self, topic: str, letters: Sequence[DeadLetter], timeout_s: float) -> list[Uncopied]:
        """As the test says."""
        assert timeout_s > 0
        assert self.gate.wait(PATIENCE_S)
        self.written.put((topic, [one.offset for one in letters]))
        if topic in self.faulty:
            raise AssertionError("a fault of ours")
        return [Uncopied(one, CopyFailure.MISSING) for one in letters] if topic in self.broken else []


@pytest.fixture
def topics() -> Topics:
    return Topics()


@pytest.fixture
def graveyard(topics: Topics) -> Iterator[Graveyard]:
    made = Graveyard(topics, clock.monotonic)
    made.start()
    yield made
    topics.gate.set()
    made.stop(PATIENCE_S)


def tried(graveyard: Graveyard, topic: str, offset: int = 7) -> Event:
    """Append one letter; the event is set once its lane may go on."""
    heard = Event()
    graveyard.append(topic, [letter(ID, offset)], heard.set)
    return heard


def test_lane_goes_on_when_the_copy_is_made(graveyard: Graveyard, topics: Topics) -> None:
    topics.gate.clear()
    heard = tried(graveyard, "dead")
    before = heard.is_set()
    topics.gate.set()
    assert heard.wait(PATIENCE_S)
    assert (before, graveyard.trouble("dead", ID)) == (False, "")


@pytest.mark.parametrize("how", ["broken", "faulty"])
def test_lane_goes_on_when_the_copy_fails(graveyard: Graveyard, topics: Topics, how: str) -> None:
    getattr(topics, how).add("dead")
    assert tried(graveyard, "dead").wait(PATIENCE_S)
    assert tried(graveyard, "dead").is_set()
    assert (graveyard.trouble("dead", ID) or "").startswith("dead ")


def test_failed_copy_is_made_in_the_background(graveyard: Graveyard, topics: Topics) -> None:
    topics.broken.add("dead")
    assert tried(graveyard, "dead", 1).wait(PATIENCE_S)
    topics.broken.clear()
    assert [topics.written.get(timeout=PATIENCE_S) for _ in range(2)] == [("dead", [1])] * 2
    later = tried(graveyard, "dead", 2)
    assert later.wait(PATIENCE_S)
    assert graveyard.trouble("dead", ID) == ""


def test_lanes_that_wait_for_a_failing_topic_go_on(graveyard: Graveyard, topics: Topics) -> None:
    topics.broken.add("dead")
    topics.gate.clear()
    heard = [tried(graveyard, "dead", offset) for offset in range(5)]
    topics.gate.set()
    assert all(one.wait(PATIENCE_S) for one in heard)


def test_topic_that_fails_holds_up_no_other(graveyard: Graveyard, topics: Topics) -> None:
    topics.broken.add("dead")
    assert tried(graveyard, "dead").wait(PATIENCE_S)
    assert tried(graveyard, "well").wait(PATIENCE_S)
    assert graveyard.trouble("well", ID) == ""
