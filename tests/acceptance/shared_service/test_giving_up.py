"""Batches that an endpoint refuses or never accepts. Oracles as in test_delivery.py, and Kafka itself."""

import json
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tests.acceptance.conftest import Starts
from tests.harness.pipeline import PATIENCE_S, Pipeline, subscription_body, until
from tests.harness.receiver import OK, Receiver, Request, status
from webhookd.testing.http_endpoint import Answer

REFUSED = 3


def numbers(count: int) -> list[bytes]:
    return [json.dumps({"n": n}).encode() for n in range(count)]


def refuse_one(request: Request) -> Answer:
    return status(422) if any(message["value"]["n"] == REFUSED for message in request.messages) else OK


def test_refused_record_becomes_a_dead_letter_and_its_lane_goes_on(pipeline: Pipeline) -> None:
    topic, dead_letter_publisher = pipeline.topic(1), pipeline.topic(1)
    with Receiver(refuse_one) as receiver:
        id_ = pipeline.subscribe(
            receiver.url, topic, retry={"on_exhausted": "dead_letter", "dead_letter_topic": dead_letter_publisher}
        )
        pipeline.produce(topic, numbers(8), partitions=1)
        receiver.wait_for_records(7)
        pipeline.wait_committed(id_, topic)
        (dead_letter,) = pipeline.dead_letters(id_)
        assert (dead_letter["offset"], dead_letter["cause"], dead_letter["status"], dead_letter["attempts"]) == (
            REFUSED,
            "http_422",
            422,
            1,
        )
        assert bytes(dead_letter["value"]) == numbers(8)[REFUSED]
        copy = first_record(pipeline, dead_letter_publisher)
        assert (copy.value(), dict(copy.headers() or [])["webhookd-cause"]) == (numbers(8)[REFUSED], b"http_422")
        assert receiver.out_of_order == 0
        until(lambda: pipeline.status(id_)["status"] == "healthy", "it is healthy again")


def first_record(pipeline: Pipeline, topic: str) -> Any:  # noqa: ANN401 - confluent_kafka's Message
    consumer = Consumer({"bootstrap.servers": pipeline.bootstrap, "group.id": "dead-letters"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        return consumer.consume(1, PATIENCE_S)[0]
    finally:
        consumer.close()


def test_gone_endpoint_deactivates_its_subscription(pipeline: Pipeline) -> None:
    topic = pipeline.topic(1)
    with Receiver(lambda _request: status(410)) as receiver:
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, numbers(5), partitions=1)
        until(lambda: pipeline.status(id_)["status"] == "inactive", "it is deactivated")
        shown = pipeline.status(id_)
        assert (shown["active"], shown["reason"], len(receiver.requests)) == ("no", "gone", 1)
        assert ("inactive", "gone") in [(event["event"], event["error"]) for event in shown["recent_activity"]]
        receiver.answer = lambda _request: OK
        pipeline.ask("PUT", f"/1/Subscription/{id_}", subscription_body(receiver.url, topic))
        receiver.wait_for_records(5)
        assert receiver.repeats == 0
        until(lambda: pipeline.status(id_)["status"] == "healthy", "it is healthy again")


def test_first_failed_attempt_is_shown_beside_healthy(start_pipeline: Starts) -> None:
    """With the normal waits: the retry comes 5 s after the first attempt."""
    with start_pipeline(WEBHOOKD_RETRY_TIME_SCALE="1") as pipeline, Receiver(lambda _request: status(500)) as receiver:
        topic = pipeline.topic(1)
        id_ = pipeline.subscribe(receiver.url, topic, retries=10)
        pipeline.produce(topic, numbers(1), partitions=1)
        until(lambda: pipeline.status(id_)["delivery"]["state"] == "failing", "it is failing")
        shown = pipeline.status(id_)
        delivery = shown["delivery"]
        assert (shown["status"], delivery["max_attempts"], delivery["lanes_failing"]) == ("healthy", 11, 1)
        assert delivery["attempt"] >= 1
        assert delivery["last_failure"]["response_code"] == 500
        assert pipeline.ask("GET", "/health")["subscriptions"]["failing"] == 1
        until(lambda: pipeline.status(id_)["delivery"]["next_attempt_at"] is not None, "the next attempt has its time")
        receiver.answer = lambda _request: OK
        until(lambda: pipeline.status(id_)["delivery"]["state"] == "idle", "it is delivered")
        assert pipeline.status(id_)["delivery"]["last_failure"] is None


def test_permanent_refusal_is_not_retried_but_probed(pipeline: Pipeline) -> None:
    topic = pipeline.topic(1)
    with Receiver(lambda _request: status(404)) as receiver:
        id_ = pipeline.subscribe(receiver.url, topic, retries=10)
        pipeline.produce(topic, numbers(5), partitions=1)
        until(lambda: pipeline.status(id_)["status"] == "unhealthy", "it is unhealthy")
        shown = pipeline.status(id_)
        assert (shown["reason"], shown["last_failure"], shown["failing_since"] is not None) == (
            "http_404",
            "http_404",
            True,
        )
        receiver.answer = lambda _request: OK
        receiver.wait_for_records(5)
        until(lambda: pipeline.status(id_)["status"] == "healthy", "it is healthy again")
        events = [(event["event"], event["error"]) for event in pipeline.status(id_)["recent_activity"]]
        assert ("unhealthy", "http_404") in events
        assert ("healthy", "") in events


def test_retries_end_although_ingest_dies_between_them(start_pipeline: Starts) -> None:
    settings = {"WEBHOOKD_KAFKA_GROUP_PROTOCOL": "classic", "WEBHOOKD_RETRY_TIME_SCALE": "0.2"}
    with start_pipeline(**settings) as pipeline, Receiver(lambda _request: status(500)) as receiver:
        topic = pipeline.topic(1)
        id_ = pipeline.subscribe(receiver.url, topic, retries=4)
        pipeline.produce(topic, numbers(1), partitions=1)
        receiver.wait(lambda: len(receiver.requests) >= 3)
        until(lambda: pipeline.failures_committed(id_, topic) >= 2, "two failures are committed")
        known = pipeline.failures_committed(id_, topic)
        pipeline.kill("ingest")
        pipeline.start("ingest")
        until(lambda: pipeline.status(id_)["status"] == "unhealthy", "the retries have ended")
        # While ingest is down the worker continues its retries, up to the fifth attempt. Then come those that are left
        # after the committed failures.
        assert len(receiver.requests) <= 5 + (5 - known)


def test_records_that_retention_removed_are_named(pipeline: Pipeline) -> None:
    topic = pipeline.topic(1)
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, numbers(4), partitions=1)
        receiver.wait_for_records(4)
        pipeline.wait_committed(id_, topic)
        pipeline.ask("PUT", f"/1/Subscription/{id_}", subscription_body(receiver.url, topic, active="no"))
        pipeline.wait_logged("ingest", "subscription_stopped", id_, 1)
        pipeline.produce(topic, numbers(10), partitions=1)
        pipeline.admin.delete_records([TopicPartition(topic, 0, 9)])[TopicPartition(topic, 0, 9)].result(PATIENCE_S)
        pipeline.ask("PUT", f"/1/Subscription/{id_}", subscription_body(receiver.url, topic, active="yes"))
        receiver.wait_for_records(9)
        until(lambda: pipeline.status(id_)["lost_ranges"] != [], "the lost range is shown")
        (lost,) = pipeline.status(id_)["lost_ranges"]
        assert (lost["partition"], lost["from"], lost["to"], lost["count"]) == (0, 4, 8, 5)
        assert receiver.lanes[topic, 0].offsets == [0, 1, 2, 3, *range(9, 14)]
