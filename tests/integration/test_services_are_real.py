"""The services that tests are given do what the product relies on.

Oracle: the services' own answers, asked with their own clients; nothing is doubled.
"""

import uuid

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.cimpl import NewTopic
from redis import Redis
from sqlalchemy import create_engine, text

from tests.harness.kafka_admin import admin_of

DEADLINE_S = 20.0


@pytest.mark.parametrize("group_protocol", ["classic", "consumer"])
def test_kafka_hands_back_what_it_took(kafka_bootstrap: str, group_protocol: str) -> None:
    name = f"real-{uuid.uuid4()}"
    admin = admin_of(kafka_bootstrap)
    admin.create_topics([NewTopic(name, num_partitions=1)])[name].result(DEADLINE_S)
    producer = Producer({"bootstrap.servers": kafka_bootstrap})
    producer.produce(name, b"value", partition=0)
    assert producer.flush(DEADLINE_S) == 0

    consumer = Consumer(
        {
            "bootstrap.servers": kafka_bootstrap,
            "group.id": name,
            "group.protocol": group_protocol,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        consumer.subscribe([name])
        messages = consumer.consume(1, DEADLINE_S)
    finally:
        consumer.close()

    assert [(message.offset(), message.value()) for message in messages] == [(0, b"value")]


def test_kafka_makes_no_topic_unasked(kafka_bootstrap: str) -> None:
    name = f"unasked-{uuid.uuid4()}"
    client = admin_of(kafka_bootstrap)
    client.list_topics(name, timeout=DEADLINE_S)
    assert name not in client.list_topics(timeout=DEADLINE_S).topics


def test_redis_evicts_nothing_and_appends(redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        settings = client.config_get("maxmemory-policy", "appendonly")
    assert settings == {"maxmemory-policy": "noeviction", "appendonly": "yes"}


def test_postgres_lets_tests_make_databases(postgres_url: str) -> None:
    with create_engine(postgres_url).connect() as connection:
        may = connection.execute(text("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"))
        assert may.scalar() is True
