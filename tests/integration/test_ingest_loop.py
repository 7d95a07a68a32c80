"""The ingest loop with consumers that the test controls: a fault affects one subscription only, and loses no record."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import pytest

from tests.harness.captured_lines import captured_lines
from tests.harness.ingest_loops import ONE, PATIENCE_S, ZERO, Scene, held_status, message, on_the_loop, running
from tests.harness.lanes import WANTED, about, lane_of, records
from tests.harness.metrics import exposed
from tests.harness.pipeline import until
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd import clock
from webhookd.errors import GroupDenied
from webhookd.flow.attempt.attempt_report import Report, ReportKind, decode, encode
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.queue_names import FIRST
from webhookd.flow.status.problem import Problem
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus, unhealthy
from webhookd.store import subscriptions
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with running(tmp_path) as made:
        yield made


class BrokenObserver:
    """Metrics with a fault: `checks` counts the seconds."""

    def __init__(self) -> None:
        self.checks: SimpleQueue[int] = SimpleQueue()

    def checked(self, consumers: Collection[SubscriptionConsumer], _not_run: Mapping[str, str]) -> None:
        self.checks.put(len(consumers))
        raise ValueError("no timestamp")

    def stopped(self, _consumer: SubscriptionConsumer) -> None:
        raise LookupError("no consumer")

    def reported(self, _delivery: Delivery, _report: Report, _now: float) -> None:
        raise LookupError("no delivery")

    def acknowledged(self, _delivery: Delivery) -> None:
        raise LookupError("no batch")


def test_fault_in_the_metrics_does_not_disturb_the_loop(tmp_path: Path) -> None:
    observer = BrokenObserver()
    with captured_lines() as lines, running(tmp_path, observer) as scene:
        on_the_loop(scene, lambda: scene.loop.subscriptions.run(subscription(), None))
        for _ in range(2):
            observer.checks.get(timeout=PATIENCE_S)
        on_the_loop(scene, lambda: scene.loop.subscriptions.stop(ID))
        assert str(lines.wait_for("metrics_incomplete")["exc_info"]) == "no timestamp"
    assert len(lines.of("metrics_incomplete")) == 1, "once a minute"
    assert lines.of("loop_iteration_failed") == []


def test_failed_iteration_skips_no_record(scene: Scene) -> None:
    def begin() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        (reader,) = scene.kafka_consumers
        reader.listener.assigned([ZERO, ONE])
        reader.arrived.append([message(ZERO, 0, b'"fault"'), message(ONE, 50, b"1")])
        reader.arrived.append([message(ONE, 60, b"1")])

    scene.loop.call(begin)
    assert scene.opened.wait(PATIENCE_S)
    assert scene.kafka_consumers[0].gone_for_good.wait(PATIENCE_S)
    committed = [
        commits[ONE].offset
        for commits in [*scene.kafka_consumers[0].commits, *scene.kafka_consumers[0].closed]
        if ONE in commits
    ]
    assert max(committed, default=0) <= 50


def test_denied_group_is_a_problem(scene: Scene) -> None:
    def begin() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        scene.kafka_consumers[0].refusal = GroupDenied("said")

    on_the_loop(scene, begin)
    assert scene.kafka_consumers[0].gone_for_good.wait(PATIENCE_S)
    problems: list[tuple[str, str, bool]] = []
    on_the_loop(
        scene,
        lambda: problems.extend((p.code, p.detail, p.standing) for p in scene.loop.consumers[ID].status().problems),
    )
    assert (problems, scene.never_joined.is_set()) == ([("group_denied", "said", True)], False)


def test_unusable_destination_is_in_the_stored_status_with_the_reason_that_the_worker_gives(scene: Scene) -> None:
    in_flight: list[Delivery] = []
    with scene.database.transaction() as session:
        subscriptions.insert(session, subscription())

    def begin() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        accumulator = scene.loop.consumers[ID].accumulator
        scene.kafka_consumers[0].listener.assigned([ZERO])
        lane_of(accumulator).position_known = True
        lane_of(accumulator).take(records(0), WANTED, 0.0)
        in_flight.extend(accumulator.ready(1e9))
        scene.in_flight.published(in_flight[0], clock.monotonic())

    on_the_loop(scene, begin)
    reason = "destination.webhook.tls.client_key cannot be used by OpenSSL"
    scene.loop.add_reports(decode(encode([about(in_flight[0], ReportKind.UNUSABLE, detail=reason)])))
    status = held_status(scene, "destination_unusable", 1)
    assert [(problem.detail, problem.standing) for problem in status.problems] == [(reason, True)]
    assert status.health is Health.UNHEALTHY


def test_consumer_that_fails_twice_before_it_joins_is_a_problem(scene: Scene) -> None:
    def fails() -> None:
        scene.loop.subscriptions.restart_later(scene.loop.consumers[ID], RuntimeError("beyond use"))
        scene.loop.subscriptions.restart(scene.loop.consumers[ID])

    reasons: list[str] = []
    on_the_loop(scene, lambda: scene.loop.subscriptions.run(subscription(), None))
    for _ in range(2):
        on_the_loop(scene, fails)
        on_the_loop(scene, lambda: reasons.append(scene.loop.consumers[ID].status().reason))
    assert reasons == ["", "consumer_failed"]


def test_failed_start_is_repeated(scene: Scene) -> None:
    scene.refusals = 1
    not_run: list[dict[str, str]] = []

    def run() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        not_run.append(dict(scene.loop.subscriptions.not_run))

    on_the_loop(scene, run)
    assert scene.opened.wait(PATIENCE_S)
    on_the_loop(scene, lambda: not_run.append(dict(scene.loop.subscriptions.not_run)))
    assert not_run == [{ID: "consumer_failed"}, {}]


def test_held_subscription_is_not_run_until_it_is_stopped_or_runs(scene: Scene) -> None:
    not_run: list[dict[str, str]] = []

    def hold_and_run() -> None:
        subscriptions_ = scene.loop.subscriptions
        ends: list[Callable[[], None]] = [
            lambda: subscriptions_.stop(ID),
            lambda: subscriptions_.run(subscription(), None),
        ]
        for end in ends:
            subscriptions_.hold(ID, 1, Problem(code="not_allowed"), None)
            not_run.append(dict(subscriptions_.not_run))
            end()
            not_run.append(dict(subscriptions_.not_run))

    on_the_loop(scene, hold_and_run)
    assert not_run == [{ID: "not_allowed"}, {}, {ID: "not_allowed"}, {}]


def test_new_version_replaces_the_old_one(scene: Scene) -> None:
    first = subscription()
    scene.loop.call(lambda: scene.loop.subscriptions.run(first, None))
    scene.loop.call(lambda: scene.loop.subscriptions.run(replace(first, version=first.version + 1), None))
    done = Event()
    scene.loop.call(done.set)
    assert done.wait(PATIENCE_S)
    assert scene.kafka_consumers[0].gone_for_good.wait(PATIENCE_S)
    assert [consumer.subscription.version for consumer in scene.loop.consumers.values()] == [first.version + 1]


def gone_online(scene: Scene) -> list[tuple[str, int]]:
    """Go online; returns the subscriptions that are to be started."""
    found: list[tuple[str, int]] = []
    on_the_loop(scene, lambda: found.extend((one.id, one.version) for one, _ in scene.loop.subscriptions.go_online()))
    return found


def test_offline_loop_leaves_groups_with_their_positions(scene: Scene) -> None:
    def begin() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        scene.kafka_consumers[0].listener.assigned([ZERO])
        scene.kafka_consumers[0].arrived.append([message(ZERO, 7, b"1")])

    on_the_loop(scene, begin)
    scene.until_read(ZERO, 8)
    on_the_loop(scene, lambda: scene.loop.subscriptions.go_offline(60.0))
    assert scene.kafka_consumers[0].gone_for_good.wait(PATIENCE_S)
    assert [commits[ZERO].offset for commits in scene.kafka_consumers[0].closed] == [8]
    assert gone_online(scene) == [(ID, 1)]


def test_offline_loop_starts_nothing(scene: Scene) -> None:
    first, second = subscription(), subscription(OTHER_ID)
    on_the_loop(scene, lambda: scene.loop.subscriptions.go_offline(0.0))
    for change in (first, replace(first, version=2), second):
        on_the_loop(scene, partial(scene.loop.subscriptions.run, change, None))
    on_the_loop(scene, lambda: scene.loop.subscriptions.stop(OTHER_ID))
    assert (scene.kafka_consumers, gone_online(scene)) == ([], [(ID, 2)])


def test_status_is_kept_while_offline(scene: Scene) -> None:
    before = unhealthy(SubscriptionStatus(subscription_id=ID, health=Health.HEALTHY, delivered=7), "timeout", "", 5.0)
    on_the_loop(scene, lambda: scene.loop.subscriptions.run(subscription(), before))
    on_the_loop(scene, lambda: scene.loop.subscriptions.go_offline(0.0))
    found: list[SubscriptionStatus | None] = []
    on_the_loop(scene, lambda: found.extend(status for _, status in scene.loop.subscriptions.go_online()))
    assert [(one.health, one.reason, one.delivered) for one in found if one] == [(Health.UNHEALTHY, "timeout", 7)]


def test_loop_online_before_it_left_keeps_its_consumers(scene: Scene) -> None:
    def in_flight() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        scene.kafka_consumers[0].listener.assigned([ZERO])
        accumulator = scene.loop.consumers[ID].accumulator
        lane_of(accumulator).position_known = True
        lane_of(accumulator).take(records(0), WANTED, 0.0)
        for delivery in accumulator.ready(1e9):
            scene.in_flight.published(delivery, clock.monotonic())

    on_the_loop(scene, in_flight)
    on_the_loop(scene, lambda: scene.loop.subscriptions.go_offline(60.0))
    assert (gone_online(scene), list(scene.loop.consumers)) == ([], [ID])


def test_delivery_that_nobody_claims_is_counted_as_published_again(scene: Scene) -> None:
    def begin() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        accumulator = scene.loop.consumers[ID].accumulator
        scene.kafka_consumers[0].listener.assigned([ZERO])
        lane_of(accumulator).position_known = True
        lane_of(accumulator).take(records(0), WANTED, 0.0)
        (delivery,) = accumulator.ready(1e9)
        delivery.queue = FIRST
        scene.in_flight.published(delivery, clock.monotonic() - 1000.0)

    with exposed() as live:
        on_the_loop(scene, begin)
        until(
            lambda: live.read().value("webhookd_deliveries_published_total", again="true") == 1, "it is published again"
        )


def test_subscription_without_room_has_that_in_its_stored_status_until_it_starts(tmp_path: Path) -> None:
    with running(tmp_path, subscriptions=1) as scene:
        with scene.database.transaction() as session:
            subscriptions.insert(session, subscription())
        on_the_loop(scene, lambda: scene.loop.subscriptions.run(subscription(OTHER_ID), None))
        on_the_loop(scene, lambda: scene.loop.subscriptions.run(subscription(), None))
        assert held_status(scene, "ingest_full", 1).health is Health.UNHEALTHY
        on_the_loop(scene, lambda: scene.loop.subscriptions.stop(OTHER_ID))
        assert held_status(scene, "", 1).health is Health.HEALTHY
