"""Each kind of event in an ingest process is counted under the right name and labels.

Real: all processes and services. Oracles: what the test has caused, the receiver, and the rows of the database.
"""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import trustme

from tests.acceptance.conftest import Starts
from tests.acceptance.test_alerts import LOGIN, mail_settings, subscribed
from tests.acceptance.test_killed_processes import SHORT_LEASE
from tests.harness.mail_server import MailServer
from tests.harness.metrics import Scrape, scrape, wait_metric
from tests.harness.pipeline import Pipeline, until
from tests.harness.receiver import OK, PATIENCE_S, Receiver, Request, status
from webhookd.testing.http_endpoint import Answer

OTHER = "other"
QUEUES = {"webhookd.first", "webhookd.retry"}
INGEST = "ingest"


@pytest.fixture(scope="module")
def running(start_pipeline: Starts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A service with a mail server, whose workers are lost soon."""
    folder: Path = tmp_path_factory.mktemp("metrics")
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with (
        MailServer(context=context, login=LOGIN) as mails,
        start_pipeline(**SHORT_LEASE, **mail_settings(mails, folder / "ca.pem")) as pipeline,
    ):
        yield pipeline


def records(scraped: Scrape, what: str, id_: str) -> float:
    """The number of records of a subscription of which this is counted."""
    return scraped.value(f"webhookd_records_{what}_total", subscription=id_) or 0.0


def wait_records(pipeline: Pipeline, id_: str, **wanted: int) -> Scrape:
    """Wait until exactly so many records are counted under these names; none may be counted more than once."""

    def counted(scraped: Scrape) -> bool:
        found = {what: records(scraped, what, id_) for what in wanted}
        assert all(found[what] <= number for what, number in wanted.items()), found
        return found == wanted

    return wait_metric(pipeline, INGEST, counted, f"{id_} has {wanted}")


def values(*documents: object) -> list[bytes]:
    """Records with these values."""
    return [json.dumps(document).encode() for document in documents]


def test_every_record_is_counted_once_by_what_became_of_it(running: Pipeline) -> None:
    topic = running.topic(2)
    condition = {"topic": topic, "effect": "allow", "condition": "kind == 'public'"}
    running.ask("POST", "/1/Policy", condition)
    denied, dropped, wanted = ({"kind": kind, "n": n} for kind, n in (("secret", 1), ("public", 0), ("public", 1)))
    with Receiver() as receiver:
        id_ = running.subscribe(receiver.url, topic, filters=["n == `1`"])
        running.produce(topic, [*values(*[denied] * 5, *[dropped] * 3, *[wanted] * 8), b"{"], partitions=2)
        receiver.wait_for_records(8)
        scraped = wait_records(
            running, id_, read=17, matched=8, filtered=3, denied=5, delivered=8, dead_lettered=1, lost=0
        )
    assert len(running.dead_letters(id_)) == 1
    assert scraped.value("webhookd_subscriptions", health="healthy", delivery="idle") == 1


def test_lag_is_0_when_everything_is_settled(running: Pipeline) -> None:
    topic = running.topic(1)
    with Receiver() as receiver:
        id_ = running.subscribe(receiver.url, topic)
        running.produce(topic, values(*range(5)), partitions=1)
        receiver.wait_for_records(5)
        wait_metric(
            running,
            INGEST,
            lambda scraped: (
                scraped.value("webhookd_lag_records", subscription=id_) == 0
                and scraped.value("webhookd_lag_seconds", subscription=id_) == 0
            ),
            "there is no lag",
        )


def test_delivery_is_measured_from_publication_to_commit(running: Pipeline) -> None:
    before = scrape(running, INGEST)
    topic = running.topic(1)
    with Receiver() as receiver:
        id_ = running.subscribe(receiver.url, topic)
        running.produce(topic, values(1), partitions=1)
        receiver.wait_for_records(1)
        running.wait_committed(id_, topic)

        def grew(scraped: Scrape) -> bool:
            return all(scraped.total(name, **labels) > before.total(name, **labels) for name, labels in NAMES)

        scraped = wait_metric(running, INGEST, grew, f"more of {NAMES}")
    assert scraped.label_values("webhookd_task_wait_seconds_count", "queue") == QUEUES
    age = scraped.total("webhookd_record_age_seconds_sum") - before.total("webhookd_record_age_seconds_sum")
    assert 0 < age < PATIENCE_S
    assert scraped.value("webhookd_commits_total", result="failed") == 0


NAMES: tuple[tuple[str, dict[str, str]], ...] = (
    ("webhookd_deliveries_published_total", {"again": "false"}),
    ("webhookd_deliveries_reported_total", {"kind": "finished"}),
    ("webhookd_task_wait_seconds_count", {}),
    ("webhookd_record_age_seconds_count", {}),
    ("webhookd_commits_total", {"result": "committed"}),
    ("webhookd_rebalances_total", {"event": "assigned"}),
)


def test_failing_endpoint_is_seen_from_its_first_retry_to_its_recovery(running: Pipeline) -> None:
    before = scrape(running, INGEST)

    def reported(scraped: Scrape, kind: str) -> float:
        name = "webhookd_deliveries_reported_total"
        return scraped.total(name, kind=kind) - before.total(name, kind=kind)

    with Receiver(lambda _: status(500)) as receiver:
        topic = running.topic(1)
        id_ = running.subscribe(receiver.url, topic, start="earliest", retries=2)
        running.produce(topic, values(*range(3)), partitions=1)
        scraped = wait_metric(
            running,
            INGEST,
            lambda scraped: (
                scraped.value("webhookd_subscription_unhealthy", subscription=id_, reason="http_5xx") == 1
                and reported(scraped, "exhausted") >= 1
                and (scraped.value("webhookd_lag_records", subscription=id_) or 0) == 3
                and scraped.total("webhookd_lanes", state="circuit_open") >= 1
                and scraped.total("webhookd_subscriptions", health="unhealthy", delivery="circuit_open") == 1
            ),
            "it is unhealthy, and its circuit opens",
        )
        assert reported(scraped, "retry") >= 2
        assert (scraped.value("webhookd_lag_seconds", subscription=id_) or 0) > 0
        older = wait_metric(
            running,
            INGEST,
            lambda later: (later.value("webhookd_lag_seconds", subscription=id_) or 0) > 3,
            "the lag grows while nothing is sent",
        )
        assert records(older, "delivered", id_) == 0
        receiver.answer = lambda _: OK
        wait_records(running, id_, delivered=3)
        recovered = wait_metric(
            running,
            INGEST,
            lambda scraped: scraped.value("webhookd_lag_seconds", subscription=id_) == 0,
            "the lag is over",
        )
    assert recovered.series("webhookd_subscription_unhealthy", subscription=id_) == []


def test_mail_is_counted_by_its_result(running: Pipeline) -> None:
    def sent(scraped: Scrape) -> float:
        return scraped.total("webhookd_mails_total", result="delivered")

    before = sent(scrape(running, INGEST))
    with Receiver(lambda _: status(500)) as receiver:
        topic = running.topic(1)
        id_ = subscribed(running, receiver.url, topic)
        running.produce(topic, values(1), partitions=1)
        scraped = wait_metric(running, INGEST, lambda scraped: sent(scraped) > before, "a mail is sent")
        running.ask("DELETE", f"/1/Subscription/{id_}")
    assert scraped.value("webhookd_mails_total", result="refused") == 0
    wait_metric(running, INGEST, lambda scraped: scraped.value("webhookd_mails_waiting") == 0, "no mail waits")


def test_deleted_subscription_has_no_gauge_and_keeps_its_counters_for_a_while(running: Pipeline) -> None:
    topic = running.topic(1)
    with Receiver() as receiver:
        id_ = running.subscribe(receiver.url, topic)
        running.produce(topic, values(1), partitions=1)
        wait_records(running, id_, delivered=1)
        running.ask("DELETE", f"/1/Subscription/{id_}")

        def gone(scraped: Scrape) -> bool:
            return all(one.labels["subscription"] != id_ for one in scraped.series("webhookd_lag_seconds"))

        scraped = wait_metric(running, INGEST, gone, "its lag is gone")
    delivered = {one.labels["subscription"]: one.value for one in scraped.series("webhookd_records_delivered_total")}
    assert delivered[id_] == 1


def test_lost_worker_is_seen(running: Pipeline) -> None:
    before = scrape(running, INGEST)
    assert before.series("webhookd_system_fault") == []
    assert {one.labels["queue"]: one.value for one in before.series("webhookd_live_workers")} == dict.fromkeys(
        QUEUES, 1
    )
    reached, release = Event(), Event()

    def hang(_: Request) -> Answer:
        reached.set()
        release.wait(PATIENCE_S)
        return OK

    with Receiver(hang) as receiver:
        topic = running.topic(1)
        id_ = running.subscribe(receiver.url, topic)
        running.produce(topic, values(1), partitions=1)
        assert reached.wait(PATIENCE_S)
        wait_metric(
            running,
            INGEST,
            lambda scraped: scraped.value("webhookd_deliveries_in_flight", stage="claimed") == 1,
            "one is claimed",
        )
        running.kill("worker")
        expired = before.total("webhookd_leases_expired_total")
        wait_metric(
            running,
            INGEST,
            lambda scraped: scraped.total("webhookd_leases_expired_total") == expired + 1,
            "its lease expires",
        )
        wait_metric(
            running,
            INGEST,
            lambda scraped: (
                scraped.value("webhookd_system_fault", code="no_workers") == 1
                and {one.value for one in scraped.series("webhookd_live_workers")} == {0}
                and scraped.total("webhookd_queue_tasks") >= 1
                and scraped.value("webhookd_deliveries_in_flight", stage="queued") == 1
            ),
            "there are no workers, and a task waits",
        )
        release.set()
        running.start("worker")
        wait_records(running, id_, delivered=1)
    wait_metric(running, INGEST, lambda scraped: not scraped.series("webhookd_system_fault"), "the fault is over")


def test_switch_is_seen(running: Pipeline) -> None:
    path = "/1/EventNotificationAdmin"
    assert scrape(running, INGEST).value("webhookd_offline") == 0
    running.ask("POST", path, {"status": "offline", "offline_message": "moving house"})
    wait_metric(running, INGEST, lambda scraped: scraped.value("webhookd_offline") == 1, "it is offline")
    running.ask("POST", path, {"status": "online"})
    wait_metric(running, INGEST, lambda scraped: scraped.value("webhookd_offline") == 0, "it is online")


def test_subscription_that_is_not_allowed_is_unhealthy(running: Pipeline) -> None:
    topic = running.topic(1)
    id_ = running.subscribe("http://127.0.0.1:9/", topic)
    running.ask("POST", "/1/Policy", {"topic": topic, "effect": "deny"})
    scraped = wait_metric(
        running,
        INGEST,
        lambda scraped: scraped.value("webhookd_subscription_unhealthy", subscription=id_, reason="not_allowed") == 1,
        "it is not allowed",
    )
    assert scraped.value("webhookd_subscriptions", health="unhealthy", delivery="stopped") == 1
    running.ask("DELETE", f"/1/Subscription/{id_}")


def test_state_of_the_process_is_seen(running: Pipeline) -> None:
    scraped = scrape(running, INGEST)
    assert scraped.value("webhookd_live_ingests") == 1
    assert scraped.value("webhookd_buffer_limit_bytes") == 512 * 1024 * 1024
    assert (scraped.value("webhookd_loop_longest_iteration_seconds") or 0) < 1
    assert scraped.value("webhookd_api_key_expiry_timestamp_seconds") == 0
    assert scraped.value("webhookd_signing_secret_expiry_timestamp_seconds") == 0


def test_second_process_is_seen(running: Pipeline) -> None:
    running.start("ingest-2")
    wait_metric(running, INGEST, lambda scraped: scraped.value("webhookd_live_ingests") == 2, "there are two")
    assert running.terminate("ingest-2") == 0


def test_subscriptions_beyond_the_bound_are_counted_together(start_pipeline: Starts) -> None:
    with start_pipeline(WEBHOOKD_METRICS_SUBSCRIPTIONS="1") as pipeline, Receiver() as receiver:
        topics = [pipeline.topic(1) for _ in range(3)]
        ids = [pipeline.subscribe(receiver.url, topic) for topic in topics]
        for topic in topics:
            pipeline.produce(topic, values(*range(10)), partitions=1)
        receiver.wait_for_records(30)
        scraped = wait_metric(
            pipeline,
            INGEST,
            lambda scraped: scraped.total("webhookd_records_delivered_total") == 30,
            "every record is counted once",
        )
        name = "webhookd_records_delivered_total"
        assert len(scraped.label_values(name, "subscription") & set(ids)) == 1
        assert len(scraped.label_values(name, "subscription")) == 2
        with Receiver(lambda _: status(500)) as failing:
            bad = pipeline.topic(1)
            id_ = pipeline.subscribe(failing.url, bad, retries=0)
            pipeline.produce(bad, values(1), partitions=1)
            after = wait_metric(
                pipeline,
                INGEST,
                lambda scraped: scraped.value("webhookd_subscription_unhealthy", subscription=id_) == 1,
                "the unhealthy one has series of its own",
            )
        assert after.label_values("webhookd_lag_seconds", "subscription") == {id_, OTHER}
        assert records(after, "delivered", OTHER) >= records(scraped, "delivered", OTHER)
        until(lambda: not pipeline.log(INGEST).count("metrics_incomplete"), "no source has failed")
