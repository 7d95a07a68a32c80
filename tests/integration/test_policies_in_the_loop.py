"""What the ingest loop does when policies change: what stops, what is revoked and withdrawn, and what goes on."""

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import msgspec
import pytest

from tests.harness.assignments import new_assignment
from tests.harness.ingest_loops import PATIENCE_S, ZERO, Scene, held_status, message, on_the_loop, running
from tests.harness.lanes import TOPIC
from tests.harness.memory_consumer import MemoryDeadLetters
from tests.harness.policies import policies_in_use
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from tests.harness.topic_policies import allow, deny, governed
from webhookd import clock
from webhookd.flow.dispatch.coordination import ClaimDenied, Publication
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.monitoring.kafka_reachability import KafkaReachability
from webhookd.flow.policy.policy import OPEN_TOPIC
from webhookd.flow.status.delivery_status import STOPPED
from webhookd.flow.status.problem import Problem
from webhookd.flow.status.subscription_status import Health
from webhookd.store import activity, subscriptions
from workers.ingest.consumer.subscription_health import NOT_ALLOWED, POLICIES_OUTDATED
from workers.ingest.loop_commands import LoopCommands


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with running(tmp_path) as made:
        yield made


def test_subscription_that_is_not_allowed_stops_with_its_position_and_goes_on_there(scene: Scene) -> None:
    with scene.database.transaction() as session:
        subscriptions.insert(session, subscription())

    def begin() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        scene.kafka_consumers[0].listener.assigned([ZERO])
        scene.kafka_consumers[0].arrived.append([message(ZERO, 0, b"1"), message(ZERO, 1, b"1")])

    on_the_loop(scene, begin)
    scene.until_read(ZERO, 2)
    problem = Problem(code=NOT_ALLOWED, detail="said", since=1.0)
    on_the_loop(scene, lambda: scene.loop.subscriptions.hold(ID, 2, problem, None))
    assert scene.kafka_consumers[0].gone_for_good.wait(PATIENCE_S)
    assert scene.kafka_consumers[0].closed[-1][ZERO].offset == 2
    status = held_status(scene, NOT_ALLOWED, 2)
    assert (status.health, status.filtered, status.delivery) == (Health.UNHEALTHY, 2, STOPPED)
    on_the_loop(scene, lambda: scene.loop.subscriptions.run(subscription(version=3), status))
    assert held_status(scene, "", 3).filtered == 2
    events: list[str] = []
    pause, deadline = Event(), clock.monotonic() + PATIENCE_S
    while len(events) < 2 and clock.monotonic() < deadline:
        with scene.database.transaction() as session:
            events = [f"{item.event} {item.error}".strip() for item in activity.recent(session, ID)]
        pause.wait(0.01)
    assert sorted(events) == ["healthy", "unhealthy not_allowed"]


def test_problems_go_on_when_only_the_policies_have_changed(scene: Scene) -> None:
    problems: list[str] = []

    def change() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        scene.loop.consumers[ID].begin_problem("http_503")
        scene.loop.subscriptions.run(subscription(version=2, policies={TOPIC: OPEN_TOPIC}), None)
        problems.append(scene.loop.consumers[ID].status().reason)
        scene.loop.subscriptions.run(subscription(version=3, name="another"), None)
        problems.append(scene.loop.consumers[ID].status().reason)

    on_the_loop(scene, change)
    assert problems == ["http_503", ""]


def commands_of(scene: Scene) -> LoopCommands:
    return LoopCommands(
        scene.loop,
        scene.writer,
        reachability=KafkaReachability,
        kafka_timeout_s=15.0,
        mismatched=lambda error: pytest.fail(str(error)),
    )


def test_copies_are_withdrawn_when_what_was_left_is_stopped_and_has_no_rows_waiting(scene: Scene) -> None:
    scene.loop.dead_letters = kept = MemoryDeadLetters()
    commands, stopped = commands_of(scene), SimpleQueue[list[str]]()
    on_the_loop(scene, lambda: scene.loop.subscriptions.run(subscription(), None))
    commands.leave(ID)
    commands.withdraw_copies(lambda _: True, lambda: stopped.put([*kept.forgotten]))
    assert stopped.get(timeout=PATIENCE_S) == [ID]
    assert len(kept.withdrawals) == 1


def published_before(scene: Scene) -> tuple[DeliveryRef, DeliveryRef, DeliveryRef]:
    """What a process before has published: a task, a retry that a worker has claimed, another subscription's task."""
    queued = DeliveryRef(
        id="d1", subscription=ID, version=1, lanes={"orders/0": "e"}, attempt=0, records=1, batches=1, reply_to="killed"
    )
    retried = msgspec.structs.replace(queued, id="d2", lanes={"orders/1": "e"})
    other = msgspec.structs.replace(queued, id="d3", subscription=OTHER_ID)
    scene.coordination.make_claimable([Publication(one, b"") for one in (queued, retried, other)])
    scene.coordination.claim([retried])
    return queued, retried, other


@pytest.mark.parametrize("allowed", [True, False])
def test_what_a_killed_process_has_published_is_revoked_before_its_policies_are_confirmed(
    scene: Scene, *, allowed: bool
) -> None:
    queued, retried, other = published_before(scene)
    policies = {topic: governed(allow() if allowed else deny()) for topic in ("orders", "refunds")}
    commands, confirmed = commands_of(scene), SimpleQueue[int]()
    commands.run(ID, 2, subscription(version=2, policies=policies), None)
    commands.confirm_policies(4, confirmed.put)
    reports, _ = scene.coordination.read_reports("test", "0", PATIENCE_S)
    assert scene.coordination.are_current([queued, retried, other]) == [False, False, True]
    claimed: list[str] = []
    on_the_loop(scene, lambda: claimed.extend(scene.in_flight.superseded.under_way(clock.monotonic())))
    assert claimed == ["d2"]
    scene.loop.add_reports(reports)
    assert confirmed.empty()


@pytest.mark.parametrize("is_open", [True, False])
def test_what_a_setting_closes_at_a_restart_is_neither_read_nor_sent_from_what_was_published_before(
    scene: Scene, *, is_open: bool
) -> None:
    queued, retried, other = published_before(scene)
    with scene.database.transaction() as session:
        subscriptions.insert(session, subscription())
    in_use = policies_in_use(open_without_policy=is_open)
    assignment = new_assignment(scene.database, commands_of(scene), in_use=in_use)
    assignment.start()
    reports, _ = scene.coordination.read_reports("test", "0", PATIENCE_S)
    assert scene.coordination.are_current([queued, retried, other]) == [is_open, is_open, True]
    assert scene.coordination.claim([queued]) == [b"" if is_open else ClaimDenied.STALE]
    assert held_status(scene, "" if is_open else NOT_ALLOWED, 1).health is (
        Health.HEALTHY if is_open else Health.UNHEALTHY
    )
    assert scene.opened.is_set() is is_open
    scene.loop.add_reports(reports)
    assignment.stop()


def test_policies_are_confirmed_after_the_marker_was_reported(scene: Scene) -> None:
    confirmed: SimpleQueue[int] = SimpleQueue()
    on_the_loop(scene, lambda: scene.loop.policy_confirmation.request(4, confirmed.put))
    reports, _ = scene.coordination.read_reports("test", "0", PATIENCE_S)
    assert confirmed.empty()
    scene.loop.add_reports(reports)
    assert confirmed.get(timeout=PATIENCE_S) == 4


def test_commands_hold_what_is_not_allowed_and_what_has_outdated_policies(scene: Scene) -> None:
    commands = commands_of(scene)
    allowed = dict.fromkeys(("orders", "refunds"), OPEN_TOPIC)
    with scene.database.transaction() as session:
        subscriptions.insert(session, subscription())
    commands.run(ID, 1, subscription(policies=allowed), None)
    assert scene.opened.wait(PATIENCE_S)
    commands.hold(ID, "said")
    status = held_status(scene, POLICIES_OUTDATED, 1)
    assert [(problem.code, problem.detail) for problem in status.problems] == [(POLICIES_OUTDATED, "said")]
    commands.run(ID, 1, subscription(policies=allowed), status)
    assert held_status(scene, "", 1).health is Health.HEALTHY
    commands.run(ID, 2, subscription(version=2, policies={"orders": OPEN_TOPIC}), None)
    status = held_status(scene, NOT_ALLOWED, 2)
    assert status.problems[0].detail == "no policy allows tenant default to read refunds"
    assert scene.loop.consumers == {}
