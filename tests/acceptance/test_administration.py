"""webhookd goes offline and online, and subscriptions are deleted, under load. Oracles as in test_delivery.py."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.conftest import Starts
from tests.harness.pipeline import Pipeline, until
from tests.harness.receiver import OK, Receiver, Request, slowly, status
from webhookd.testing.http_endpoint import Answer

GROUPS_LEFT = '"event":"groups_left"'
PATH = "/1/EventNotificationAdmin"
OFFLINE = {"status": "offline", "offline_message": "moving house"}
ONLINE = {"status": "online"}
STOPPED_S = 8.0
"""Everything is offline within five seconds of the call; the rest is for a busy machine."""

ANSWER_S = 0.01
"""Four lanes deliver at most 400 records a second, so that 4,000 are not delivered within STOPPED_S."""


@pytest.fixture(scope="module")
def switchable(start_pipeline: Starts) -> Iterator[Pipeline]:
    """A service that may be taken offline."""
    with start_pipeline() as running:
        yield running


@pytest.fixture
def pipeline(switchable: Pipeline) -> Iterator[Pipeline]:
    """The same service; it is online again after each test."""
    yield switchable
    switchable.ask("POST", PATH, ONLINE)


def numbers(count: int) -> list[bytes]:
    return [json.dumps({"n": n, "pad": "x" * 100}).encode() for n in range(count)]


def go_offline(pipeline: Pipeline) -> float:
    """Take webhookd offline; returns how long it took until ingest had left every group."""
    before, began = pipeline.log("ingest").count(GROUPS_LEFT), time.monotonic()
    pipeline.ask("POST", PATH, OFFLINE)
    until(lambda: pipeline.log("ingest").count(GROUPS_LEFT) > before, "ingest is offline", STOPPED_S)
    return time.monotonic() - began


def calls(pipeline: Pipeline, id_: str) -> list[dict[str, Any]]:
    return [event for event in pipeline.status(id_)["recent_activity"] if event["event"] == "api_call"]


class Hanging:
    """Answers the first request only when the test releases it."""

    def __init__(self) -> None:
        self.requested = threading.Event()
        self.release = threading.Event()

    def answer(self, _request: Request) -> Answer:
        if not self.requested.is_set():
            self.requested.set()
            self.release.wait(60.0)
        return OK


def test_offline_stops_all_within_five_seconds(pipeline: Pipeline) -> None:
    topic, count = pipeline.topic(), 4_000
    pipeline.produce(topic, numbers(count))
    with Receiver(slowly(ANSWER_S)) as receiver:
        id_ = pipeline.subscribe(receiver.url, topic, start="earliest")
        receiver.wait_for_records(count // 10)
        go_offline(pipeline)
        assert pipeline.status(id_)["reason"] == "offline"
        stopped = len(receiver.requests)
        assert receiver.records < count
        time.sleep(2.0)
        assert len(receiver.requests) == stopped
        receiver.answer = lambda _: OK
        pipeline.ask("POST", PATH, ONLINE)
        receiver.wait_for_records(count)
        pipeline.wait_committed(id_, topic)
        assert (receiver.repeats, receiver.out_of_order) == (0, 0)
        events = [event["event"] for event in pipeline.status(id_)["recent_activity"]]
        assert [event for event in events if event != "api_call"] == ["active", "inactive", "active"]


def test_hanging_request_is_aborted_and_sent_again(pipeline: Pipeline) -> None:
    topic, hanging = pipeline.topic(1), Hanging()
    with Receiver(hanging.answer) as receiver:
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, numbers(3), partitions=1)
        assert hanging.requested.wait(30.0)
        assert go_offline(pipeline) > 3.0, "the request had its four seconds"
        pipeline.ask("POST", PATH, ONLINE)
        receiver.wait_for_records(3)
        pipeline.wait_committed(id_, topic)
        hanging.release.set()
        until(lambda: bool(calls(pipeline, id_)), "the calls are recorded")
        assert {call["error"] for call in calls(pipeline, id_)} == {""}, "the aborted request is not a failure"


def test_offline_survives_the_restart_of_everything(pipeline: Pipeline) -> None:
    topic = pipeline.topic()
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, numbers(20))
        receiver.wait_for_records(20)
        go_offline(pipeline)
        before = pipeline.log("ingest").count(GROUPS_LEFT)
        for name in ("ingest", "worker"):
            pipeline.kill(name)
            pipeline.start(name)
        pipeline.terminate("api")  # after a kill gunicorn's workers would keep the port for a while
        pipeline.start("api")
        pipeline.wait_ready()
        until(lambda: pipeline.log("ingest").count(GROUPS_LEFT) > before, "ingest is offline again")
        later = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, numbers(20))
        time.sleep(2.0)
        assert receiver.records == 20
        assert {one["status"] for one in pipeline.ask("GET", PATH)["webhooks"]} == {"inactive"}
        pipeline.ask("POST", PATH, ONLINE)
        receiver.wait_for_records(40)
        pipeline.wait_committed(id_, topic)
        pipeline.wait_committed(later, topic)


def groups(pipeline: Pipeline) -> set[str]:
    listed = pipeline.admin.list_consumer_groups(request_timeout=10).result()
    return {group.group_id for group in listed.valid}


def test_deletion_removes_the_group_from_kafka(pipeline: Pipeline) -> None:
    topic = pipeline.topic()
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, numbers(20))
        receiver.wait_for_records(20)
        assert f"webhooks-{id_}" in groups(pipeline)
        pipeline.ask("DELETE", f"/1/Subscription/{id_}")
        until(lambda: f"webhooks-{id_}" not in groups(pipeline), "the group is gone")


@pytest.fixture(scope="module")
def killable(start_pipeline: Starts) -> Iterator[Pipeline]:
    """A service with normal waits, whose ingest process may be killed: Kafka removes it from its groups in 10 s."""
    settings = {"WEBHOOKD_KAFKA_GROUP_PROTOCOL": "classic", "WEBHOOKD_RETRY_TIME_SCALE": "1.0"}
    with start_pipeline(**settings) as running:
        yield running


def test_killed_ingest_leaves_no_group_behind(killable: Pipeline) -> None:
    pipeline, topic = killable, killable.topic()
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, numbers(20))
        receiver.wait_for_records(20)
        pipeline.kill("ingest")
        pipeline.ask("DELETE", f"/1/Subscription/{id_}")
        assert f"webhooks-{id_}" in groups(pipeline)
        pipeline.start("ingest")
        until(lambda: f"webhooks-{id_}" not in groups(pipeline), "the group is gone")


def test_waiting_retry_of_a_deleted_subscription_never_leaves(killable: Pipeline) -> None:
    pipeline, topic = killable, killable.topic(1)
    with Receiver(lambda _: status(503)) as receiver:
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, numbers(1), partitions=1)
        receiver.wait(lambda: len(receiver.requests) >= 1)
        pipeline.kill("ingest")  # so that no process revokes the epoch in Redis
        pipeline.ask("DELETE", f"/1/Subscription/{id_}")
        sent = len(receiver.requests)
        until(lambda: '"event":"delivery_stale"' in pipeline.log("worker"), "the retry was refused")
        assert len(receiver.requests) == sent
        pipeline.start("ingest")
