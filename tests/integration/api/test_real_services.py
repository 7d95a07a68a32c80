"""The API on real Kafka, Redis and Postgres, as `build` puts it together: nothing is doubled."""

import queue
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.cimpl import NewTopic
from flask import Flask
from pydantic import SecretStr

from api.application import build
from api.ports import EXTENSION, Services
from tests.harness.databases import new_database
from tests.harness.kafka_admin import admin_of
from tests.harness.secret_keys import KEY
from tests.harness.services import required_service
from tests.harness.subscriptions import document
from webhookd.edges.change_notifications import ChangeNotifier, ChangeSubscriber
from webhookd.edges.redis_url import parse
from webhookd.flow.control.change_notification import ChangeNotification, SubscriptionChanged
from webhookd.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.postgres]

PATH = "/1/Subscription"
WAIT_S = 20.0


@pytest.fixture
def real_settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings that name real services, with a database and a key prefix of their own."""
    kafka, redis = required_service("kafka"), required_service("redis")
    with new_database("postgres", tmp_path, tables=True) as url:
        yield Settings(
            kafka_bootstrap_servers=kafka,
            kafka_ask_timeout_s=WAIT_S,
            redis_url=redis,
            api_auth="none",
            redis_key_prefix=f"test-{uuid.uuid4().hex}:",
            database_url=url,
            secret_keys=SecretStr(KEY),
        )


@pytest.fixture
def real_app(real_settings: Settings) -> Iterator[Flask]:
    """The application as production builds it."""
    app = build(real_settings)
    yield app
    services: Services = app.extensions[EXTENSION]
    services.database.close()
    assert isinstance(services.notifications, ChangeNotifier)
    services.notifications.close()


@pytest.fixture
def topic() -> str:
    """A topic with three records."""
    name = f"orders-{uuid.uuid4().hex}"
    admin = admin_of(required_service("kafka"))
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(WAIT_S)
    producer = Producer({"bootstrap.servers": required_service("kafka"), "linger.ms": 0})
    for _ in range(3):
        producer.produce(name, b"{}", partition=0)
    assert producer.flush(WAIT_S) == 0
    return name


def local(topic: str) -> dict[str, Any]:
    """A subscription to the topic whose endpoint is on this machine."""
    return document("source.0.topic", topic) | {"destination": {"webhook": {"url": "http://localhost:1/hook"}}}


def test_a_subscription_begins_where_its_topic_ended(real_app: Flask, real_settings: Settings, topic: str) -> None:
    created = real_app.test_client().post(PATH, json=local(topic))
    assert created.status_code == 201, created.text
    assert [warning["code"] for warning in created.get_json()["warnings"]] == [
        "address_refused",
        "filter_passes_nothing",
    ]
    reader = Consumer(
        {
            "bootstrap.servers": real_settings.kafka_bootstrap_servers,
            "group.id": f"webhooks-{created.get_json()['id']}",
        }
    )
    [position] = reader.committed([TopicPartition(topic, 0)], timeout=WAIT_S)
    reader.close()
    assert position.offset == 3


def test_every_system_is_ready(real_app: Flask) -> None:
    answer = real_app.test_client().get("/ready")
    assert (answer.status_code, set(answer.get_json()["checks"].values())) == (200, {"ok"})


def test_a_created_subscription_is_announced(real_app: Flask, real_settings: Settings, topic: str) -> None:
    heard: queue.Queue[ChangeNotification] = queue.Queue()
    stop, ready = threading.Event(), threading.Event()
    listener = ChangeSubscriber(parse(real_settings.redis_url), key_prefix=real_settings.redis_key_prefix)
    listening = threading.Thread(
        target=listener.run,
        args=(heard.put, stop),
        kwargs={"subscribed": ready},
    )
    listening.start()
    assert ready.wait(WAIT_S)
    created = real_app.test_client().post(PATH, json=local(topic)).get_json()
    assert heard.get(timeout=WAIT_S) == SubscriptionChanged(id=created["id"], version=1)
    stop.set()
    listening.join(WAIT_S)
