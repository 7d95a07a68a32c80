"""One delivery in flight, to which a test applies reports."""

from dataclasses import dataclass

from tests.harness.lanes import FAILED, TIMEOUTS, about, accumulator, fill, in_flight_deliveries, lane_of
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Delivery, Lane
from webhookd.flow.settlement.in_flight import InFlightDeliveries, ReportEffect

LEASE_S = TIMEOUTS.lease_s + TIMEOUTS.request_deadline_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One delivery, in flight since 0.0."""

    accumulator: BatchAccumulator
    in_flight: InFlightDeliveries
    delivery: Delivery

    @property
    def lane(self) -> Lane:
        """Its lane."""
        return lane_of(self.accumulator)

    def report(self, kind: ReportKind, done: int = 0, now: float = 1.0, wait_s: float = 0.0) -> ReportEffect:
        """Apply a report about it."""
        failure = FAILED if kind in {ReportKind.RETRY, ReportKind.EXHAUSTED} else None
        report = about(self.delivery, kind, done, sending_s=0.001 * done, wait_s=wait_s, failure=failure)
        return self.in_flight.apply(report, now)


def scene(lanes: int = 1, records: int = 4, size: int = 1) -> Scene:
    """Four batches of one record in one lane; with more lanes one mixed batch."""
    made, in_flight = accumulator(lanes, size=size), in_flight_deliveries()
    for number in range(lanes):
        fill(made, number, range(records))
    (delivery,) = made.ready(99.0)
    in_flight.published(delivery, 0.0)
    return Scene(accumulator=made, in_flight=in_flight, delivery=delivery)
