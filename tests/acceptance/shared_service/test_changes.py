"""Changes of a subscription while everything runs. Oracles as in test_delivery.py."""

import json
import time

from sqlalchemy import create_engine, text

from tests.harness.pipeline import Pipeline, subscription_body, until
from tests.harness.receiver import Receiver


def numbers(count: int) -> list[bytes]:
    return [json.dumps({"n": n}).encode() for n in range(count)]


def test_changed_url_takes_effect_while_running(pipeline: Pipeline) -> None:
    topic = pipeline.topic()
    with Receiver() as before, Receiver() as after:
        id_ = pipeline.subscribe(before.url, topic)
        pipeline.produce(topic, numbers(20))
        before.wait_for_records(20)
        pipeline.wait_committed(id_, topic)
        pipeline.ask("PUT", f"/1/Subscription/{id_}", subscription_body(after.url, topic))
        pipeline.wait_logged("ingest", "subscription_started", id_, 2)
        pipeline.produce(topic, numbers(20))
        after.wait_for_records(20)
        assert (before.records, after.records, after.repeats) == (20, 20, 0)


def test_deactivated_subscription_keeps_its_position(pipeline: Pipeline) -> None:
    topic = pipeline.topic()
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, numbers(8))
        receiver.wait_for_records(8)
        pipeline.ask("PUT", f"/1/Subscription/{id_}", subscription_body(receiver.url, topic, active="no"))
        pipeline.wait_logged("ingest", "subscription_stopped", id_, 1)
        pipeline.produce(topic, numbers(8))
        assert pipeline.status(id_)["status"] == "inactive"
        pipeline.ask("PUT", f"/1/Subscription/{id_}", subscription_body(receiver.url, topic, active="yes"))
        receiver.wait_for_records(16)
        assert (receiver.repeats, receiver.out_of_order) == (0, 0)


def test_topic_made_later_is_read_from_its_beginning(pipeline: Pipeline) -> None:
    topic = f"later-{time.time_ns()}"
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic)
        until(lambda: pipeline.status(id_)["topics"] == [{"topic": topic, "partitions": 0}], "the topic is missing")
        pipeline.topic(2, topic)
        pipeline.produce(topic, numbers(10), partitions=2)
        receiver.wait_for_records(10)
        pipeline.grow(topic, 3)
        pipeline.produce(topic, numbers(9), partitions=3)
        receiver.wait_for_records(19)
        until(lambda: pipeline.status(id_)["topics"] == [{"topic": topic, "partitions": 3}], "the topic has grown")


def test_unusable_row_harms_only_its_subscription(pipeline: Pipeline) -> None:
    topic = pipeline.topic()
    with Receiver() as receiver:
        broken = pipeline.subscribe(receiver.url, topic)
        sources = replace_sources(pipeline, broken, '{"odd": 7}')
        until(lambda: pipeline.status(broken)["status"] == "unhealthy", "the broken one is unhealthy")
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, numbers(20))
        receiver.wait_for_records(20)
        pipeline.wait_committed(id_, topic)
        replace_sources(pipeline, broken, sources)
        until(lambda: pipeline.status(broken)["status"] == "healthy", "the broken one is mended")


def replace_sources(pipeline: Pipeline, id_: str, sources: str) -> str:
    """Replace the sources of a subscription in the database; returns those that it had, as JSON."""
    engine = create_engine(pipeline.database)
    with engine.begin() as connection:
        before = connection.execute(text("SELECT sources::text FROM subscriptions WHERE id = :id"), {"id": id_})
        change = text("UPDATE subscriptions SET sources = :sources, version = version + 1 WHERE id = :id")
        found = str(before.scalar_one())
        connection.execute(change, {"id": id_, "sources": sources})
    engine.dispose()
    return found
