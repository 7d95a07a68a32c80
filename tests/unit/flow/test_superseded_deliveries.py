"""Which dropped deliveries a worker may still be sending, and when a version of the policies is confirmed."""

import pytest

from tests.harness.lanes import TIMEOUTS, accumulator, fill, tokens
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.destination import LONGEST_TIMEOUT_S
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from webhookd.flow.settlement.policy_confirmation import MARKER_TIMEOUT_S, PolicyConfirmation

SILENT_S = TIMEOUTS.lease_s + TIMEOUTS.request_deadline_s
LONGEST_S = TIMEOUTS.lease_s + LONGEST_TIMEOUT_S
ENDS = [ReportKind.RETRY, ReportKind.FINISHED, ReportKind.EXHAUSTED, ReportKind.DIVISIBLE, ReportKind.GONE]
UNSENT_COPIES = [ReportKind.STALE, ReportKind.UNREADABLE, ReportKind.UNUSABLE, ReportKind.WAITING]


class Scene:
    """Deliveries in flight and the confirmation, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.in_flight = InFlightDeliveries(TIMEOUTS, tokens("epoch"), lambda: 0.5)
        self.markers: list[str] = []
        self.confirmed: list[int] = []
        self.copies_ended = True
        self.confirmation = PolicyConfirmation(
            self.in_flight, self.markers.append, lambda: self.now, tokens("marker"), lambda: self.copies_ended
        )

    def published(self) -> Delivery:
        made = accumulator()
        fill(made, 0, [0])
        (delivery,) = made.ready(1e6)
        delivery.id = f"delivery-{len(self.in_flight)}"
        self.in_flight.published(delivery, self.now)
        return delivery

    def claimed(self) -> Delivery:
        delivery = self.published()
        self.report(delivery.id, ReportKind.STARTED)
        return delivery

    def report(self, id_: str, kind: ReportKind, attempt: int = 0) -> None:
        """As the settlement does it."""
        report = Report(kind, id_, attempt)
        try:
            _ = self.in_flight[id_]
        except KeyError:
            self.in_flight.superseded.reported(report, self.now)
            self.confirmation.marker_read(id_)
        else:
            self.in_flight.apply(report, self.now)

    def request(self, version: int) -> None:
        self.confirmation.request(version, self.confirmed.append)

    def read_marker(self) -> None:
        self.report(self.markers[-1], ReportKind.FINISHED)

    def confirmed_now(self) -> list[int]:
        self.confirmation.check()
        return self.confirmed


def drop(delivery: Delivery) -> None:
    for lane in delivery.lanes:
        lane.delivery = None


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_version_is_confirmed_when_the_marker_is_read(scene: Scene) -> None:
    scene.request(1)
    assert scene.confirmed_now() == []
    scene.read_marker()
    assert scene.confirmed_now() == [1]
    assert scene.confirmed_now() == [1]


def test_queued_delivery_is_not_waited_for(scene: Scene) -> None:
    drop(scene.published())
    scene.request(1)
    scene.read_marker()
    assert scene.confirmed_now() == [1]


@pytest.mark.parametrize("end", ENDS)
def test_claimed_delivery_is_waited_for_until_it_ends(scene: Scene, end: ReportKind) -> None:
    delivery = scene.claimed()
    drop(delivery)
    scene.request(1)
    scene.read_marker()
    assert scene.confirmed_now() == []
    scene.report(delivery.id, ReportKind.PROGRESS)
    assert scene.confirmed_now() == []
    scene.report(delivery.id, end)
    assert scene.confirmed_now() == [1]


@pytest.mark.parametrize("kind", UNSENT_COPIES)
def test_second_copy_that_was_not_claimed_says_nothing_about_the_claimed_one(scene: Scene, kind: ReportKind) -> None:
    delivery = scene.claimed()
    drop(delivery)
    scene.request(1)
    scene.read_marker()
    scene.report(delivery.id, kind)
    assert scene.confirmed_now() == []
    scene.report(delivery.id, ReportKind.FINISHED)
    assert scene.confirmed_now() == [1]


def test_claim_that_is_reported_before_the_marker_is_waited_for(scene: Scene) -> None:
    delivery = scene.published()
    drop(delivery)
    scene.request(1)
    scene.report(delivery.id, ReportKind.STARTED)
    scene.read_marker()
    assert scene.confirmed_now() == []
    scene.report(delivery.id, ReportKind.FINISHED)
    assert scene.confirmed_now() == [1]


def test_copy_that_is_being_written_is_waited_for(scene: Scene) -> None:
    scene.request(1)
    scene.copies_ended = False
    scene.read_marker()
    assert scene.confirmed_now() == []
    scene.copies_ended = True
    assert scene.confirmed_now() == [1]


def test_claimed_retry_is_waited_for(scene: Scene) -> None:
    delivery = scene.claimed()
    drop(delivery)
    scene.request(1)
    scene.report(delivery.id, ReportKind.RETRY, 0)
    scene.report(delivery.id, ReportKind.STARTED, 1)
    scene.report(delivery.id, ReportKind.RETRY, 0)  # a second copy of the report
    scene.read_marker()
    assert scene.confirmed_now() == []
    scene.report(delivery.id, ReportKind.FINISHED, 1)
    assert scene.confirmed_now() == [1]


def test_silent_worker_is_waited_for_until_its_lease_and_deadline_are_over(scene: Scene) -> None:
    drop(scene.claimed())
    scene.request(1)
    scene.read_marker()
    scene.now += SILENT_S - 0.1
    assert scene.confirmed_now() == []
    scene.now += 0.1
    assert scene.confirmed_now() == [1]


def test_delivery_that_a_worker_has_claimed_from_the_process_before_is_waited_for(scene: Scene) -> None:
    scene.request(1)
    scene.in_flight.superseded.add_claimed(["elsewhere"], scene.now)
    scene.read_marker()
    scene.now += LONGEST_S - 0.1
    assert scene.confirmed_now() == []
    scene.now += 0.1
    assert scene.confirmed_now() == [1]


def test_version_is_confirmed_again_after_a_takeover(scene: Scene) -> None:
    for count in (1, 2):
        scene.request(1)
        scene.read_marker()
        assert scene.confirmed_now() == [1] * count


def test_suspension_of_this_process_extends_the_wait(scene: Scene) -> None:
    drop(scene.claimed())
    scene.request(1)
    scene.read_marker()
    scene.now += SILENT_S
    scene.in_flight.process_was_suspended(SILENT_S)
    assert scene.confirmed_now() == []


def test_delivery_that_its_lane_still_waits_for_is_not_waited_for(scene: Scene) -> None:
    delivery = scene.claimed()
    scene.request(1)
    scene.read_marker()
    assert scene.confirmed_now() == [1]
    assert delivery.current


def test_delivery_that_is_dropped_later_does_not_delay_a_confirmation(scene: Scene) -> None:
    first, second = scene.claimed(), scene.claimed()
    drop(first)
    scene.request(1)
    scene.read_marker()
    drop(second)
    scene.in_flight.overdue(scene.now)
    scene.report(first.id, ReportKind.FINISHED)
    assert scene.confirmed_now() == [1]
    assert scene.in_flight.superseded.under_way(scene.now) == {second.id}


def test_lost_marker_is_sent_again(scene: Scene) -> None:
    scene.request(1)
    scene.now += MARKER_TIMEOUT_S
    assert scene.confirmed_now() == []
    assert len(scene.markers) == 2
    scene.report(scene.markers[0], ReportKind.FINISHED)
    assert scene.confirmed_now() == []
    scene.read_marker()
    assert scene.confirmed_now() == [1]


def test_newer_version_replaces_the_one_that_is_awaited(scene: Scene) -> None:
    scene.request(1)
    scene.request(2)
    scene.request(2)
    scene.report(scene.markers[0], ReportKind.FINISHED)
    assert scene.confirmed_now() == []
    scene.read_marker()
    assert scene.confirmed_now() == [2]


def test_lower_version_of_a_restored_database_is_confirmed_too(scene: Scene) -> None:
    scene.request(7)
    scene.read_marker()
    assert scene.confirmed_now() == [7]
    scene.request(3)
    assert scene.confirmed_now() == [7]
    scene.read_marker()
    assert scene.confirmed_now() == [7, 3]
