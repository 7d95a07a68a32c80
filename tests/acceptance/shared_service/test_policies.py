"""A change of the policies while records stream through real processes. Oracles: the receiver, Kafka, the database."""

import json
import threading
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.harness.pipeline import Pipeline, subscription_body, until
from tests.harness.receiver import OK, Receiver, Request, status
from webhookd.testing.http_endpoint import Answer

SECRET = "sesame"
FAILING = 5
"""Every fifth request fails at first, so that there are always deliveries that wait for their retry."""


class Watch:
    """Notes when each request arrived, and whether one of its records has the hidden field."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, bool]] = []

    def answer(self, request: Request) -> Answer:
        hidden = any("secret" in message["value"] for message in request.messages)
        self.arrivals.append((time.monotonic(), hidden))
        return status(500) if len(self.arrivals) % FAILING == 0 else OK

    def count(self, *, hidden: bool, since: float = 0.0) -> int:
        return sum(has == hidden for at, has in self.arrivals if at >= since)


@contextmanager
def streaming(pipeline: Pipeline, topic: str) -> Iterator[list[int]]:
    """Produce until the end of the block; the list has the numbers that were produced."""
    produced: list[int] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.01):
            numbers = range(len(produced), len(produced) + 8)
            pipeline.produce(topic, [json.dumps({"n": n, "secret": SECRET}).encode() for n in numbers])
            produced.extend(numbers)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield produced
    finally:
        stop.set()
        thread.join()


def change(pipeline: Pipeline, method: str, path: str, policy: dict[str, Any]) -> tuple[str, float]:
    """Change a policy; returns its id, and when every process had confirmed it."""
    answer = pipeline.ask(method, path, policy)
    if not answer["confirmation"]["confirmed"]:  # a 202, on a busy machine
        until(lambda: bool(pipeline.ask("GET", "/1/Policy/Confirmation")["confirmed"]), "the change is confirmed")
    return answer["id"], time.monotonic()


def mails(pipeline: Pipeline, id_: str) -> list[str]:
    engine = create_engine(pipeline.database)
    with engine.begin() as connection:
        query = text("SELECT body FROM mail_outbox WHERE subject_key LIKE :key")
        found = [str(body) for body in connection.execute(query, {"key": f"%:{id_}"}).scalars()]
    engine.dispose()
    return found


def test_no_record_leaves_under_an_old_policy(pipeline: Pipeline) -> None:
    topic, watch = pipeline.topic(), Watch()
    policy = {"topic": topic, "effect": "allow", "tenant": "default"}
    with Receiver(watch.answer) as receiver:
        body = subscription_body(receiver.url, topic, size=4, retries=10)
        body["configuration"]["alerting"] = {"alert_emails": ["owner@example.com"]}
        id_ = pipeline.ask("POST", "/1/Subscription", body)["id"]
        with streaming(pipeline, topic) as produced:
            receiver.wait(lambda: watch.count(hidden=True) >= 50)
            policy_id, changed_at = change(
                pipeline, "POST", "/1/Policy", policy | {"projection": {"exclude": ["secret"]}}
            )
            receiver.wait(lambda: watch.count(hidden=False, since=changed_at) >= 50)
            assert watch.count(hidden=True, since=changed_at) == 0
            denied = policy | {"effect": "deny"}
            _, denied_at = change(pipeline, "PUT", f"/1/Policy/{policy_id}", denied)
            until(lambda: pipeline.status(id_)["reason"] == "not_allowed", "the status says not_allowed")
        assert [at for at, _ in watch.arrivals if at >= denied_at] == []
        assert pipeline.status(id_)["delivery"]["state"] == "stopped"
        assert topic in pipeline.status(id_)["problems"][0]["detail"]
        until(lambda: any("No policy allows" in mail for mail in mails(pipeline, id_)), "the owner gets a mail")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            pipeline.ask("PUT", f"/1/Subscription/{id_}", body)
        kept = pipeline.committed(id_, topic)
        assert sum(kept.values()) < len(produced)
        change(pipeline, "PUT", f"/1/Policy/{policy_id}", policy | {"projection": {"include": ["n"]}})
        receiver.wait_for_records(len(produced))
        pipeline.wait_committed(id_, topic)
        assert (receiver.records, receiver.out_of_order) == (len(produced), 0)
        assert watch.count(hidden=True, since=changed_at) == 0
        until(lambda: pipeline.status(id_)["status"] == "healthy", "it is healthy again")


def test_denied_subscription_goes_on_at_its_position_without_repeats(pipeline: Pipeline) -> None:
    topic = pipeline.topic()
    policy = {"topic": topic, "effect": "allow"}
    with Receiver() as receiver:
        policy_id, _ = change(pipeline, "POST", "/1/Policy", policy)
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, [b'{"n": 1}'] * 8)
        receiver.wait_for_records(8)
        pipeline.wait_committed(id_, topic)
        change(pipeline, "PUT", f"/1/Policy/{policy_id}", policy | {"tenant": "acme"})
        until(lambda: pipeline.status(id_)["reason"] == "not_allowed", "the status says not_allowed")
        pipeline.produce(topic, [b'{"n": 2}'] * 8)
        change(pipeline, "PUT", f"/1/Policy/{policy_id}", policy)
        receiver.wait_for_records(16)
        assert (receiver.records, receiver.repeats, receiver.out_of_order) == (16, 0, 0)
