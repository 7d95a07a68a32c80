"""Creates and deletes the topics of a load or of a benchmark."""

import time
from collections.abc import Mapping, Sequence
from functools import cache

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.cimpl import NewTopic

from webhookd.edges.kafka_connection import ExplainingAdmin, KafkaConnection
from webhookd.errors import KafkaUnavailable
from webhookd_load_test.kafka_access import connection

CONFIG = {"message.timestamp.type": "LogAppendTime"}
"""Brokers stamp each record when they append it, so the time from there to the endpoint leaves the producer out."""

BROKER_DEFAULT = -1
CREATE_S = 60.0
DELETE_S = 30.0
LEADERS_S = 60.0
ASK_S = 5.0
ASK_AGAIN_S = 0.1


class TopicsNotCreatedError(Exception):
    """Topics that are not there: the message names one and the reason."""


def create_topics(
    kafka: Mapping[str, str], partitions: Mapping[str, int], replication_factor: int = BROKER_DEFAULT
) -> list[str]:
    """Create the topics that are not there, and wait until every partition of all of them has a leader; blocks.

    `partitions` has their numbers by the names of the topics; BROKER_DEFAULT is that of the brokers. Returns the names
    of those that were created. A topic that is there already is left alone, whatever its partitions and settings are.
    Raises TopicsNotCreatedError, or KafkaUnavailable when no broker answers.
    """
    admin = _admin(connection(kafka))
    wanted = [NewTopic(name, count, replication_factor, config=CONFIG) for name, count in partitions.items()]
    created = []
    for name, future in admin.create_topics(wanted, request_timeout=CREATE_S).items():
        try:
            future.result()
            created.append(name)
        except KafkaException as error:
            _judge(admin, name, error)
    _await_leaders(admin, list(partitions))
    return created


def delete_topics(kafka: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Delete the topics; returns for those that could not be deleted why. Blocks for DELETE_S at most."""
    admin = _admin(connection(kafka))
    failed = {}
    for name, future in admin.delete_topics(list(names), request_timeout=DELETE_S).items():
        try:
            future.result()
        except KafkaException as error:
            failed[name] = str(admin.explain(error).detail)
    return failed


@cache
def _admin(kafka: KafkaConnection) -> ExplainingAdmin:
    """Kept until the process ends: librdkafka 2.16 crashed when a client that had just created topics was destroyed."""
    return kafka.admin({"client.id": "webhookd-load-test"})


def _judge(admin: ExplainingAdmin, name: str, error: KafkaException) -> None:
    if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
        return
    reason = admin.explain(error)
    raise TopicsNotCreatedError(f"topic {name} was not created: {reason.detail}")


def _await_leaders(admin: ExplainingAdmin, names: Sequence[str]) -> None:
    deadline_s = time.monotonic() + LEADERS_S
    while missing := _without_leader(admin, names):
        if time.monotonic() > deadline_s:
            raise TopicsNotCreatedError(f"topic {missing[0]} has partitions without a leader after {LEADERS_S:.0f} s")
        time.sleep(ASK_AGAIN_S)


def _without_leader(admin: ExplainingAdmin, names: Sequence[str]) -> list[str]:
    try:
        known = admin.metadata(None, ASK_S).topics
    except KafkaUnavailable:
        return list(names)
    return [
        name
        for name in names
        if name not in known
        or not known[name].partitions
        or any(partition.leader < 0 for partition in known[name].partitions.values())
    ]
