"""The metrics of the ingest loop, read as Prometheus reads them, and the loop's own calls.

Real: subscription consumers with their lanes and counters, the exposition. Doubled: Kafka consumers, the clocks.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.harness.lanes import about
from tests.harness.metrics import LiveMetrics, Scrape, exposed
from tests.harness.subscription_consumers import BAD, GOOD, ONE, SMALL, ZERO
from tests.harness.subscription_consumers import Scene as Running
from tests.harness.subscriptions import ID
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.status.endpoint_certificate import EndpointCertificate
from webhookd.flow.status.subscription_status import Health, LostRange, SubscriptionStatus
from webhookd.metrics.series_totals import SHOWN_S
from workers.ingest.loop_limits import Clocks
from workers.ingest.metrics.loop_metrics import LoopMetrics

SECOND_ID = "22222222-2222-4222-8222-222222222222"
BEFORE = SubscriptionStatus(
    subscription_id=ID, health=Health.HEALTHY, delivered=100, filtered=200, denied=300, dead_lettered=400
)
QUEUE = "webhookd.retry"


class Measured:
    """Subscriptions of a process, whose metrics are looked at each second."""

    def __init__(self, bound: int, live: LiveMetrics) -> None:
        self.now = 100.0
        self.running: dict[str, Running] = {}
        self.not_run: dict[str, str] = {}
        self.live = live
        clocks = Clocks(monotonic=lambda: self.now, wall=lambda: self.now)
        self.metrics = LoopMetrics(clocks, bound=bound, limit_bytes=1000)
        live.add_source(self.metrics.samples)

    def run(self, id_: str = ID, previous: SubscriptionStatus | None = None) -> Running:
        """Run a subscription, in place of the one with this id."""
        self.stop(id_)
        self.running[id_] = Running(id_=id_, previous=previous)
        return self.running[id_]

    def stop(self, id_: str) -> None:
        """Stop a subscription, if it runs."""
        if id_ in self.running:
            self.metrics.stopped(self.running.pop(id_).consumer)

    def check(self) -> Scrape:
        """A second passes."""
        self.now += 1.0
        self.metrics.checked([one.consumer for one in self.running.values()], self.not_run)
        return self.live.read()


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Iterator[Measured]:
    """The metrics, with the bound that a test gives, else 10."""
    with exposed() as live:
        yield Measured(getattr(request, "param", 10), live)


def records(scraped: Scrape, what: str, id_: str = ID) -> float | None:
    return scraped.value(f"webhookd_records_{what}_total", subscription=id_)


def test_records_count_from_zero_whatever_the_status_has(measured: Measured) -> None:
    measured.run(previous=BEFORE)
    scraped = measured.check()
    kinds = ("read", "matched", "filtered", "denied", "delivered", "dead_lettered", "lost")
    assert [records(scraped, kind) for kind in kinds] == [0] * 7


def test_records_read_before_the_first_second_count(measured: Measured) -> None:
    measured.run(previous=BEFORE).reads(ZERO, GOOD, SMALL, SMALL, BAD)
    scraped = measured.check()
    assert [records(scraped, kind) for kind in ("read", "matched", "filtered")] == [4, 1, 2]
    assert [records(measured.check(), kind) for kind in ("read", "matched", "filtered")] == [4, 1, 2], "once"


def test_stored_dead_letters_and_lost_records_count(measured: Measured) -> None:
    running = measured.run()
    running.reads(ZERO, BAD)
    ((_, stored),) = running.services.dead_letters.written
    stored()
    running.consumer.report_lost(LostRange(topic=ZERO.topic, partition=0, first=3, end=10, at=0.0))
    scraped = measured.check()
    assert (records(scraped, "dead_lettered"), records(scraped, "lost")) == (1, 7)


def test_counts_of_a_consumer_that_is_replaced_are_kept(measured: Measured) -> None:
    running = measured.run()
    running.reads(ZERO, GOOD)
    measured.check()
    running.reads(ZERO, GOOD, SMALL, at=1)
    again = measured.run(previous=replace(BEFORE, filtered=1))
    again.reads(ZERO, SMALL, at=3)
    scraped = measured.check()
    assert [records(scraped, kind) for kind in ("read", "matched", "filtered")] == [4, 2, 2]


def test_last_counts_of_a_stopped_subscription_are_shown_for_a_minute(measured: Measured) -> None:
    running = measured.run()
    running.reads(ZERO, GOOD)
    measured.check()
    running.reads(ZERO, GOOD, GOOD, at=1)
    measured.stop(ID)
    scraped = measured.check()
    assert (records(scraped, "read"), records(scraped, "read", "other")) == (3, 0)
    assert scraped.series("webhookd_lag_seconds") == []
    measured.now += SHOWN_S
    scraped = measured.check()
    assert (records(scraped, "read"), records(scraped, "read", "other")) == (None, 0)


def test_counts_of_a_subscription_that_stops_within_its_first_second_are_in_other(measured: Measured) -> None:
    measured.run().reads(ZERO, GOOD)
    measured.stop(ID)
    scraped = measured.check()
    assert (records(scraped, "read"), records(scraped, "read", "other")) == (None, 1)


@pytest.mark.parametrize("measured", [1], indirect=True)
def test_beyond_the_bound_the_others_are_counted_together(measured: Measured) -> None:
    measured.run(ID).reads(ZERO, GOOD, GOOD)
    measured.run(SECOND_ID).reads(ZERO, GOOD)
    scraped = measured.check()
    assert (records(scraped, "read"), records(scraped, "read", "other")) == (2, 1)
    assert scraped.label_values("webhookd_lag_seconds", "subscription") == {ID, "other"}


@pytest.mark.parametrize("measured", [1], indirect=True)
def test_an_unhealthy_one_gets_series_at_once(measured: Measured) -> None:
    measured.run(ID).reads(ZERO, GOOD, GOOD)
    measured.run(SECOND_ID).reads(ZERO, GOOD)
    measured.check()
    measured.running[SECOND_ID].consumer.begin_problem("http_500")
    scraped = measured.check()
    assert scraped.value("webhookd_subscription_unhealthy", subscription=SECOND_ID, reason="http_5xx") == 1
    assert (records(scraped, "read"), records(scraped, "read", SECOND_ID)) == (2, 0)
    measured.now += SHOWN_S
    scraped = measured.check()
    assert records(scraped, "read") is None
    assert records(scraped, "read", "other") == 1, "the series that disappeared are not added to others"


@pytest.mark.parametrize("measured", [0], indirect=True)
def test_unhealthy_ones_without_series_are_counted_by_reason(measured: Measured) -> None:
    for id_ in (ID, SECOND_ID):
        measured.run(id_).consumer.begin_problem("http_500")
    measured.not_run = {"33333333-3333-4333-8333-333333333333": "not_allowed"}
    found = measured.check().series("webhookd_subscription_unhealthy")
    assert {(one.labels["subscription"], one.labels["reason"]): one.value for one in found} == {
        ("other", "http_5xx"): 2,
        ("other", "not_allowed"): 1,
    }


@pytest.mark.parametrize(
    ("reason", "label"), [("http_418", "http_4xx"), ("http_503", "http_503"), ("http_599", "http_5xx")]
)
def test_reasons_with_a_status_are_few(measured: Measured, reason: str, label: str) -> None:
    measured.run().consumer.begin_problem(reason)
    measured.not_run = {SECOND_ID: reason}
    assert measured.check().label_values("webhookd_subscription_unhealthy", "reason") == {label}


def test_subscription_that_cannot_be_run_is_unhealthy(measured: Measured) -> None:
    measured.not_run = {ID: "not_allowed"}
    scraped = measured.check()
    assert scraped.value("webhookd_subscription_unhealthy", subscription=ID, reason="not_allowed") == 1
    assert scraped.value("webhookd_subscriptions", health="unhealthy", delivery="stopped") == 1
    assert scraped.series("webhookd_lag_seconds") == []


def test_lag_in_seconds_grows_while_the_loop_is_stuck(measured: Measured) -> None:
    measured.run().reads(ZERO, GOOD)  # its timestamp is the epoch itself, or none
    assert measured.check().value("webhookd_lag_seconds", subscription=ID) == 0
    measured.running[ID].lane().circuit.begin_failing(50.0)
    measured.running[ID].lane().rewind("anew")
    assert measured.check().value("webhookd_lag_seconds", subscription=ID) == pytest.approx(52.0)
    measured.now += 100.0
    read = parsed_again(measured)
    assert read.value("webhookd_lag_seconds", subscription=ID) == pytest.approx(152.0)


def parsed_again(measured: Measured) -> Scrape:
    """Read again, without another second of the loop."""
    return measured.live.read()


def test_unknown_lag_in_records_has_no_series(measured: Measured) -> None:
    running = measured.run()
    assert measured.check().series("webhookd_lag_records") == []
    running.consumer.health.lag = 7
    assert measured.check().value("webhookd_lag_records", subscription=ID) == 7


@pytest.mark.parametrize("measured", [0], indirect=True)
def test_other_has_the_sum_of_the_lags_and_the_first_expiry_and_warning(measured: Measured) -> None:
    for id_, lag, expires_at in ((ID, 7, 900.0), (SECOND_ID, 5, 800.0)):
        health = measured.run(id_).consumer.health
        health.lag = lag
        health.endpoint_certificate = EndpointCertificate(
            host="h", port=443, begins_at=0.0, expires_at=expires_at, seen_at=1.0
        )
    scraped = measured.check()
    assert scraped.value("webhookd_lag_records", subscription="other") == 12
    assert scraped.value("webhookd_endpoint_certificate_expiry_timestamp_seconds", subscription="other") == 800
    assert scraped.value("webhookd_endpoint_certificate_warning_timestamp_seconds", subscription="other") == 600


@pytest.mark.parametrize(("lifetime_days", "days_before"), [(1, 0.25), (6, 1.5), (90, 14)])
def test_warning_of_a_certificate_depends_on_its_lifetime(
    measured: Measured, lifetime_days: int, days_before: float
) -> None:
    measured.run().consumer.health.endpoint_certificate = EndpointCertificate(
        host="h", port=443, begins_at=0.0, expires_at=lifetime_days * 86400.0, seen_at=1.0
    )
    warned_at = measured.check().value("webhookd_endpoint_certificate_warning_timestamp_seconds", subscription=ID)
    assert warned_at == (lifetime_days - days_before) * 86400


def test_lanes_and_buffers_are_counted(measured: Measured) -> None:
    running = measured.run()
    running.reads(ZERO, GOOD, GOOD)
    scraped = measured.check()
    assert {one.labels["state"]: one.value for one in scraped.series("webhookd_lanes")} == {
        "circuit_open": 0,
        "buffer_full": 0,
        "in_flight": 0,
        "waiting": 1,
        "idle": 1,
    }
    assert scraped.value("webhookd_records_waiting") == 2
    assert scraped.value("webhookd_buffer_bytes") == running.lane().buffered_bytes > 0
    assert scraped.value("webhookd_buffer_limit_bytes") == 1000


def claimable(running: Running) -> Delivery:
    """A delivery of one record, published at 101.0."""
    running.reads(ZERO, GOOD)
    (delivery,) = running.consumer.accumulator.ready(running.services.now + 99.0)
    delivery.claimable_at, delivery.queue = 101.0, QUEUE
    return delivery


def test_wait_of_a_task_is_measured_once(measured: Measured) -> None:
    delivery = claimable(measured.run())
    started = about(delivery, ReportKind.STARTED)
    measured.metrics.reported(delivery, started, 103.0)
    scraped = measured.check()
    assert scraped.value("webhookd_task_wait_seconds_sum", queue=QUEUE) == 2
    assert scraped.value("webhookd_task_wait_seconds_count", queue="webhookd.first") == 0
    assert scraped.total("webhookd_deliveries_reported_total") == 0, "it has not ended"


def test_wait_for_a_quota_is_no_claim(measured: Measured) -> None:
    delivery = claimable(measured.run())
    measured.metrics.reported(delivery, about(delivery, ReportKind.WAITING), 103.0)
    scraped = measured.check()
    assert scraped.total("webhookd_task_wait_seconds_count") == 0
    assert scraped.total("webhookd_deliveries_reported_total") == 0


@pytest.mark.parametrize(
    "kind", ["finished", "retry", "exhausted", "gone", "divisible", "stale", "unreadable", "unusable"]
)
def test_reports_that_end_an_attempt_are_counted_by_kind(measured: Measured, kind: str) -> None:
    delivery = claimable(measured.run())
    measured.metrics.reported(delivery, about(delivery, ReportKind[kind.upper()]), 103.0)
    found = measured.check().series("webhookd_deliveries_reported_total")
    assert {one.labels["kind"]: one.value for one in found if one.value} == {kind: 1}
    assert len(found) == 8, "the others are at 0"


def test_report_of_an_older_attempt_is_not_counted(measured: Measured) -> None:
    delivery = claimable(measured.run())
    report = about(delivery, ReportKind.FINISHED)
    delivery.attempt += 1
    measured.metrics.reported(delivery, report, 103.0)
    assert measured.check().total("webhookd_deliveries_reported_total") == 0


def test_report_that_nobody_waits_for_is_not_counted(measured: Measured) -> None:
    running = measured.run()
    delivery = claimable(running)
    running.lane().rewind("anew")
    measured.metrics.reported(delivery, about(delivery, ReportKind.FINISHED), 103.0)
    assert measured.check().total("webhookd_deliveries_reported_total") == 0


def test_age_of_a_record_without_a_timestamp_is_not_measured(measured: Measured) -> None:
    measured.metrics.acknowledged(claimable(measured.run()))
    assert measured.check().value("webhookd_record_age_seconds_count") == 0


def test_state_stays_as_the_loop_has_left_it(measured: Measured) -> None:
    running = measured.run()
    before = measured.check()
    running.reads(ZERO, GOOD)
    running.reads(ONE, GOOD)
    assert parsed_again(measured).value("webhookd_records_waiting") == before.value("webhookd_records_waiting") == 0
