"""Checks the Kafka properties of the operators before any work starts, without connecting to anything.

librdkafka knows which properties there are and which values they take. So one client of each kind is made of them, with
no brokers, and ended at once: that takes some milliseconds. Its answer becomes one UnusableSetting.
"""

import logging
import os
import re
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException

from webhookd.edges import dead_letter_topics
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_consumer import member_config
from webhookd.errors import UnusableSetting
from webhookd.kafka_properties import KafkaProperties, contradiction
from webhookd.settings import Settings

FILES: Final = (
    "https.ca.location",
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
    "sasl.oauthbearer.assertion.private.key.file",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.crl.location",
    "ssl.key.location",
    "ssl.keystore.location",
)
"""Properties that name a file, or a directory; librdkafka's own errors do not say that it cannot be read."""

PROBE: Final = "probe"
"""The value of `*.ca.location` with which librdkafka looks for the system's certificates."""

TOKEN_ENDPOINT: Final = "sasl.oauthbearer.token.endpoint.url"  # noqa: S105  # a name
NOWHERE: Final = "http://127.0.0.1:1/"
"""Takes the place of the token endpoint: librdkafka asks it for a token as soon as a client is made."""

CREATING: Final = re.compile(r"^Failed to create \w+: ")
"""The beginning of some of librdkafka's answers; it says nothing about the property."""

_unheard = logging.getLogger("librdkafka.check")
_unheard.setLevel(logging.CRITICAL + 1)


def checked_connection(settings: Settings) -> KafkaConnection:
    """Return the connection of these settings, which librdkafka accepts. Raises UnusableSetting."""
    connection = KafkaConnection.of(settings)
    if not connection.properties:
        return connection
    problem = contradiction(connection.properties) or _unreadable(connection.properties)
    protocol = "classic" if settings.kafka_group_protocol == "classic" else "consumer"
    problem = problem or _refused(connection.properties, protocol)
    if problem:
        name = "kafka_config" if settings.kafka_config else "kafka_config_file"
        raise UnusableSetting(connection.properties.masked(problem), setting=name)
    return connection


def _unreadable(properties: KafkaProperties) -> str:
    for name in FILES:
        path = properties.get(name, PROBE)
        if path == PROBE or os.access(path, os.R_OK):
            continue
        reason = "there is no such file" if not Path(path).exists() else "this process may not read it"
        return f"{name}: {path}: {reason}"
    return ""


def _refused(properties: KafkaProperties, protocol: str) -> str:
    """Return what librdkafka says about the properties; empty when it accepts them."""
    if TOKEN_ENDPOINT in properties:
        properties = properties.merged({TOKEN_ENDPOINT: NOWHERE})
    unconnected = KafkaConnection("", properties)
    member: dict[str, Any] = member_config("webhookd", protocol)
    try:
        unconnected.consumer(member, _unheard).close()
        unconnected.producer(dead_letter_topics.CONFIG, _unheard)
    except KafkaException as error:
        return CREATING.sub("", " ".join(error.args[0].str().split()))
    return ""
