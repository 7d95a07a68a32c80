"""Records that cannot be delivered: the problems of their subscription, and whether their lanes stop or go on.

Real: subscription consumer, lanes, problems. Doubled: the Kafka consumer and the store of dead letters.
"""

from tests.harness.subscription_consumers import BAD, GOOD, ONE, SMALL, ZERO, Scene
from webhookd.flow.batching.undecodable_records import IN_A_ROW
from webhookd.flow.dead_letter import Capacity
from webhookd.flow.offsets.commit_metadata import CommitMetadata
from webhookd.flow.offsets.position import OffsetAndMetadata
from webhookd.flow.settlement.dead_letter_copies import MAX_AGE_S
from webhookd.flow.status.problem import Problem
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from workers.ingest.consumer.stall_check import DEAD_LETTERS_FULL as FULL
from workers.ingest.consumer.undeliverable_records import TOPIC_UNAVAILABLE, UNREADABLE

FRAMED = b"\x00\x00\x00\x00\x07\x0aabc"


def unhealthy_with(code: str) -> SubscriptionStatus:
    """A status with this standing problem."""
    problem = Problem(code=code, detail="as it was", since=1.0, standing=True)
    return SubscriptionStatus(subscription_id="s", health=Health.UNHEALTHY, reason=code, problems=(problem,))


def stored(scene: Scene) -> list[int]:
    """Store the dead letters so far; returns their offsets."""
    written, scene.services.dead_letters.written = scene.services.dead_letters.written, []
    for _, done in written:
        done()
    return [dead_letter.offset for dead_letters, _ in written for dead_letter in dead_letters]


def reasons(scene: Scene) -> list[str]:
    """The codes of the problems after the next check."""
    scene.consumer.check()
    return [problem.code for problem in scene.consumer.status().problems]


def test_unreadable_topic_stops_its_lane_and_names_the_frame() -> None:
    scene = Scene()
    scene.reads(ZERO, *[FRAMED] * 2000)
    scene.reads(ZERO, *[FRAMED] * 2000, at=2000)
    assert (len(stored(scene)), reasons(scene), scene.committable()) == (IN_A_ROW, [UNREADABLE], {ZERO: IN_A_ROW})
    (problem,) = scene.consumer.status().problems
    assert problem.detail.startswith("orders/0: 50 or more records in a row could not be read; not_")
    assert "schema id 7" in problem.detail


def test_other_lanes_go_on_beside_a_stopped_one() -> None:
    scene = Scene()
    scene.reads(ZERO, *[BAD] * 100)
    scene.reads(ONE, GOOD, BAD, GOOD)
    assert [record.offset for record in scene.lane(ONE).waiting] == [0, 2]


def test_readable_record_lets_the_lane_go_on_without_a_gap() -> None:
    scene = Scene()
    scene.reads(ZERO, *[BAD] * 300)
    assert len(stored(scene)) == IN_A_ROW
    scene.reads(ZERO, SMALL, GOOD, at=300)
    assert [asked for asked in scene.kafka_consumer.asked if asked[0] == "seek"] == [("seek", ZERO, IN_A_ROW)]
    scene.reads(ZERO, *[BAD] * 250, SMALL, GOOD, at=IN_A_ROW)
    assert stored(scene) == list(range(IN_A_ROW, 300))
    assert ([f.offset for f in scene.lane().waiting], reasons(scene)) == ([301], [])


def test_problem_stays_until_the_next_process_knows_its_positions() -> None:
    scene = Scene(
        previous=unhealthy_with(UNREADABLE), committed=OffsetAndMetadata(7, CommitMetadata(undecodable=IN_A_ROW))
    )
    held = reasons(scene)
    scene.reads(ZERO, SMALL, at=7)
    scene.reads(ONE, SMALL, at=7)
    assert (held, reasons(scene)) == ([UNREADABLE], [])


def test_stopped_lane_keeps_its_detail_before_it_is_read_again() -> None:
    scene = Scene(
        previous=unhealthy_with(UNREADABLE), committed=OffsetAndMetadata(7, CommitMetadata(undecodable=IN_A_ROW))
    )
    assert reasons(scene) == [UNREADABLE]
    assert scene.consumer.status().problems[0].detail == "as it was"


def test_lanes_with_dead_letters_stop_while_no_row_is_free() -> None:
    scene = Scene()
    scene.reads(ZERO, BAD, SMALL)
    scene.consumer.undeliverable.set_capacity(Capacity(free=0, limit=100))
    scene.reads(ONE, SMALL)
    paused = scene.lane().paused, scene.lane(ONE).paused
    scene.reads(ONE, BAD, at=1)
    assert (paused, scene.lane(ONE).paused, reasons(scene)) == ((True, False), True, [FULL])


def test_free_rows_let_them_go_on() -> None:
    scene = Scene()
    scene.reads(ZERO, BAD, SMALL)
    scene.consumer.undeliverable.set_capacity(Capacity(free=0, limit=100))
    scene.reads(ONE, SMALL)
    scene.consumer.undeliverable.set_capacity(Capacity(free=5, limit=100))
    stored(scene)
    scene.reads(ONE, SMALL, at=1)
    assert (scene.lane().paused, reasons(scene), scene.committable()[ZERO]) == (False, [], 2)


def test_free_rows_are_requested_where_there_were_none() -> None:
    scene = Scene(previous=unhealthy_with(FULL))
    assert (scene.services.dead_letters.asked, reasons(scene)) == ([scene.consumer.subscription.id], [FULL])


def test_copies_that_fail_are_a_problem_until_they_succeed() -> None:
    scene, seen = Scene(), []
    for failure in (None, "dead does not exist", "dead does not exist", "", None):
        scene.services.dead_letters.failure = failure
        seen.append(reasons(scene))
    assert seen == [[], [TOPIC_UNAVAILABLE], [TOPIC_UNAVAILABLE], [], []]


def test_unknown_state_of_copies_ends_no_problem() -> None:
    scene = Scene(previous=unhealthy_with(TOPIC_UNAVAILABLE))
    assert reasons(scene) == [TOPIC_UNAVAILABLE]


def test_problem_of_the_process_before_ends_after_an_hour_without_a_copy() -> None:
    scene = Scene(previous=unhealthy_with(TOPIC_UNAVAILABLE))
    scene.services.now += MAX_AGE_S
    scene.consumer.check()
    before = scene.consumer.status().reason
    scene.services.now += 1.0
    scene.consumer.check()
    assert (before, scene.consumer.status().reason) == (TOPIC_UNAVAILABLE, "")
