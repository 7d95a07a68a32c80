"""Partition ends that a consumer reaches: what they commit, and the lag that follows from them."""

from tests.harness.consumer_events import ended, passes
from tests.harness.lanes import TOPIC
from tests.harness.subscription_consumers import GOOD, ONE, SMALL, ZERO, Scene
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.lag import END_VALID_S, NO_ANSWER_S
from workers.ingest.consumer.subscription_consumer import IDLE_POLL_S


class SlowMatcher(Matcher):
    """Takes a second a record, on the services' clock."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(())
        self._scene = scene

    def matches(self, value: bytes | None) -> bool:
        self._scene.services.now += 1.0
        return value is None


def test_end_passes_offsets_without_records() -> None:
    scene = Scene()
    ended(scene, ZERO, 512, SMALL, SMALL)
    assert scene.committable() == {ZERO: 512}


def test_end_without_a_record_is_committed() -> None:
    scene = Scene()
    ended(scene, ZERO, 0)
    assert scene.committable() == {ZERO: 0}


def test_end_waits_for_open_records() -> None:
    scene = Scene(size=1)
    ended(scene, ZERO, 512, GOOD, at=3)
    before = scene.committable()
    scene.lane().settle(1, 0)
    assert (before, scene.committable()) == ({ZERO: 3}, {ZERO: 512})


def test_old_end_does_not_move_the_watermark_back() -> None:
    scene = Scene()
    ended(scene, ZERO, 1, SMALL, SMALL, SMALL)
    assert scene.committable() == {ZERO: 3}


def test_end_is_ignored_while_a_lane_awaits_a_seek() -> None:
    scene = Scene(size=1)
    scene.reads(ZERO, GOOD, at=3)
    scene.lane().rewind("next")
    ended(scene, ZERO, 512)
    assert scene.committable() == {ZERO: 3}


def test_end_from_before_a_seek_is_ignored() -> None:
    scene = Scene(size=1)
    scene.reads(ZERO, GOOD, at=3)
    scene.kafka_consumer.listener.end_reached(ZERO, 512)
    scene.consumer.seek([(scene.lane(), scene.lane().rewind("next"))])
    scene.consumer.poll(scene.services.now, 0.001)
    assert scene.committable() == {ZERO: 3}


def test_end_of_a_revoked_partition_is_ignored() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.end_reached(ZERO, 512)
    scene.kafka_consumer.listener.revoked([ZERO])
    scene.kafka_consumer.listener.assigned([ZERO])
    scene.consumer.poll(scene.services.now, 0.001)
    assert scene.committable() == {ZERO: 0}


def test_end_waits_for_records_of_the_next_iteration() -> None:
    scene = Scene()
    scene.filters_by(SlowMatcher(scene))
    ended(scene, ZERO, 512, *[SMALL] * 100)
    first = scene.committable()
    for _ in range(100):
        scene.consumer.poll(scene.services.now, 0.001)
    assert (first[ZERO] < 100, scene.committable()) == (True, {ZERO: 512})


def test_end_alone_does_not_keep_the_consumer_busy() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.end_reached(ZERO, 512)
    busy = scene.consumer.poll(scene.services.now + 60.0, 0.001)
    pause_s = scene.consumer.poll_at - scene.services.now - 60.0
    assert (busy, round(pause_s, 3)) == (False, IDLE_POLL_S)


def test_revoked_partition_commits_the_end_it_reached() -> None:
    scene = Scene()
    ended(scene, ZERO, 512, SMALL)
    scene.kafka_consumer.listener.revoked([ZERO])
    assert [{p: one.offset for p, one in commits.items()} for commits in scene.kafka_consumer.commits] == [{ZERO: 512}]


# Lag.


def test_lag_is_zero_at_the_ends() -> None:
    scene = Scene()
    scene.kafka_consumer.last = 600  # a transaction is open behind the end that can be read
    ended(scene, ZERO, 512, SMALL)
    ended(scene, ONE, 0)
    assert passes(scene, 1).lag == 0


def test_open_records_at_an_end_are_the_lag() -> None:
    scene = Scene(size=1)
    ended(scene, ZERO, 512, GOOD, at=500)
    ended(scene, ONE, 0)
    assert passes(scene, 1).lag == 12


def test_lag_is_unknown_until_every_lane_has_a_position() -> None:
    scene = Scene()
    ended(scene, ZERO, 512)
    assert passes(scene, 1).lag is None


def test_lag_is_unknown_without_lanes() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.revoked([ZERO, ONE])
    assert passes(scene, 1).lag is None


def test_lag_of_a_lane_with_an_open_circuit_is_asked_for() -> None:
    scene = Scene()
    ended(scene, ZERO, 5)
    ended(scene, ONE, 0)
    scene.lane().circuit.state = CircuitState.OPEN
    scene.kafka_consumer.last = 40
    assert passes(scene, 1).lag == 35


def test_lag_is_unknown_when_the_request_is_not_answered() -> None:
    scene = Scene()
    ended(scene, ZERO, 5)
    ended(scene, ONE, 0)
    scene.lane().circuit.state = CircuitState.OPEN
    passes(scene, 1)
    scene.services.held = []  # requests in the background get no answer from here on
    known, unknown = passes(scene, END_VALID_S - 1).lag, passes(scene, 1).lag
    assert (known, unknown) == (0, None)


def test_lag_is_unknown_while_no_broker_answers() -> None:
    scene = Scene()
    ended(scene, ZERO, 5)
    ended(scene, ONE, 0)
    known, unknown = passes(scene, NO_ANSWER_S, seen=None).lag, passes(scene, 1, seen=None).lag
    assert (known, unknown) == (0, None)


def test_lag_of_a_denied_partition_is_asked_for() -> None:
    scene = Scene()
    ended(scene, ZERO, 5)
    ended(scene, ONE, 0)
    scene.kafka_consumer.listener.failed(ZERO, "topic_authorization_failed", "denied")
    scene.consumer.poll(scene.services.now, 0.001)
    scene.kafka_consumer.last = 40
    passes(scene, 1)
    assert passes(scene, 1).lag == 35


def test_ends_of_an_undescribed_topic_are_not_asked_for() -> None:
    scene = Scene()
    scene.lane().circuit.state = CircuitState.OPEN
    asked = scene.consumer.unfetched_partitions()
    passes(scene, 1, Topics(denied=frozenset({TOPIC})))
    assert (asked, scene.consumer.unfetched_partitions()) == ([ZERO], [])


def test_end_of_a_revoked_partition_is_forgotten() -> None:
    scene = Scene()
    scene.lane().circuit.state = scene.lane(ONE).circuit.state = CircuitState.OPEN
    scene.kafka_consumer.last = 40
    passes(scene, 1)
    scene.services.held = []
    for partition in (ZERO, ONE):
        scene.kafka_consumer.listener.revoked([partition])
        scene.kafka_consumer.listener.assigned([partition])
        scene.lane(partition).circuit.state = CircuitState.OPEN
        scene.lane(partition).skip_to(5)
    assert passes(scene, 1).lag is None
