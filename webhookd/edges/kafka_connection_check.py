"""Checks the Kafka properties of the operators before any work starts, without connecting to anything.

librdkafka knows which properties there are and which values they take. So one client of each kind is made of them, with
no brokers, and ended at once: that takes some milliseconds. Its answer becomes one UnusableSetting.
"""

import logging
import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException

from webhookd.edges import dead_letter_topics
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_consumer import member_config
from webhookd.errors import UnusableSetting
from webhookd.kafka_properties import (
    CONSUMER_ONLY,
    PRODUCER_ONLY,
    REFUSED,
    SHOWN,
    KafkaProperties,
    contradiction,
)
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

PROTOCOL: Final = "security.protocol"
PROTOCOLS: Final = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")

UNKNOWN: Final = re.compile(r'No such configuration property: "([^"]+)"')

SUGGESTED: Final = sorted(
    SHOWN
    | REFUSED.keys()
    | CONSUMER_ONLY
    | PRODUCER_ONLY
    | set(FILES)
    | {
        TOKEN_ENDPOINT,
        "sasl.kerberos.keytab",
        "sasl.kerberos.principal",
        "sasl.kerberos.service.name",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.extensions",
        "sasl.oauthbearer.scope",
        "sasl.password",
        "ssl.ca.pem",
        "ssl.certificate.pem",
        "ssl.cipher.suites",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.keystore.password",
    }
)
"""The names that are suggested for an unknown one."""

_unheard = logging.getLogger("librdkafka.check")
_unheard.setLevel(logging.CRITICAL + 1)


def checked_connection(settings: Settings) -> KafkaConnection:
    """Return the connection of these settings, which librdkafka accepts. Raises UnusableSetting."""
    connection = KafkaConnection.of(settings)
    if not connection.properties:
        return connection
    problem = _no_protocol(connection.properties) or contradiction(connection.properties)
    problem = problem or _unreadable(connection.properties)
    protocol = "classic" if settings.kafka_group_protocol == "classic" else "consumer"
    problem = problem or _refused(connection.properties, protocol)
    if problem:
        raise UnusableSetting(connection.properties.masked(problem), setting=_source(settings, connection, problem))
    return connection


def first_mentioned(text: str, names: Iterable[str]) -> str:
    """Return the property that is mentioned first in the text of an error; empty if it mentions none of these."""
    found = [(place.start(), name) for name in names if (place := re.search(_whole(name), text))]
    return min(found)[1] if found else ""


def _whole(name: str) -> str:
    """Return the pattern of the name, which is not a part of another name."""
    return rf"(?<![\w.]){re.escape(name)}(?!\.?\w)"


def _source(settings: Settings, connection: KafkaConnection, problem: str) -> str:
    """Return the setting that has the property which the problem is about."""
    name = first_mentioned(problem, connection.properties)
    in_map = name in settings.kafka_config if name else bool(settings.kafka_config)
    return "kafka_config" if in_map else "kafka_config_file"


def _no_protocol(properties: KafkaProperties) -> str:
    protocol = properties.get(PROTOCOL, "plaintext")
    if protocol.lower() in PROTOCOLS:
        return ""
    return f"{PROTOCOL}={protocol} is no protocol: write {', '.join(PROTOCOLS[:-1])} or {PROTOCOLS[-1]}"


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
        return _with_suggestion(CREATING.sub("", " ".join(error.args[0].str().split())))
    return ""


def _with_suggestion(answer: str) -> str:
    """Add the name that was probably meant to librdkafka's answer about an unknown one."""
    unknown = UNKNOWN.search(answer)
    near = get_close_matches(unknown[1].lower(), SUGGESTED, n=1, cutoff=0.75) if unknown else []
    return f"{answer}; did you mean {near[0]}?" if near else answer
