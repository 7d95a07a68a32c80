"""The librdkafka properties that operators set: how they are written, which are refused, and which are shown.

They are written as a map in a setting, or as a file of lines `name=value` like the properties files of Kafka's own
clients. A property that webhookd has to decide itself is refused by name, so that none is accepted and ignored. Values
are shown only of the properties in SHOWN: whoever adds a property to librdkafka cannot make a secret visible here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

MASK: Final = "****"
SHORTEST_MASKED: Final = 3
"""Shorter values are too common in texts to be replaced in them."""

BOOLEANS: Final = frozenset({"true", "false"})

SHOWN: Final = frozenset(
    {
        "client.id",
        "enable.ssl.certificate.verification",
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.oauthbearer.client.id",
        "sasl.oauthbearer.method",
        "sasl.username",
        "security.protocol",
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.endpoint.identification.algorithm",
        "ssl.key.location",
        "ssl.keystore.location",
    }
)
"""The properties whose values are shown in settings, logs and errors."""

PREFIX: Final = "WEBHOOKD_"
OF_GROUP: Final = "all members of a consumer group must agree on it, so webhookd decides it"
COMMITS: Final = "webhookd commits an offset when its record has been delivered"
ACKNOWLEDGED: Final = "webhookd produces dead letters so that none is lost or reordered"
NO_VALUE: Final = "it cannot be set by a value"
NO_SHARE: Final = "webhookd does not use share groups"
FRESH: Final = "webhookd needs recent metadata to find new partitions"

REFUSED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("bootstrap.servers", "metadata.broker.list"), f"set {PREFIX}KAFKA_BOOTSTRAP_SERVERS instead"),
    "group.protocol": f"set {PREFIX}KAFKA_GROUP_PROTOCOL instead",
    "fetch.wait.max.ms": f"set {PREFIX}KAFKA_FETCH_WAIT_S instead",
    "log_level": f"set {PREFIX}LOG_LEVEL instead",
    "group.id": "each subscription has a consumer group of its own, webhooks-{id}",
    **dict.fromkeys(
        ("group.instance.id", "group.protocol.type", "group.remote.assignor", "partition.assignment.strategy"), OF_GROUP
    ),
    **dict.fromkeys(
        (
            "enable.auto.commit",
            "auto.commit.enable",
            "auto.commit.interval.ms",
            "enable.auto.offset.store",
            "offset.store.method",
            "offset.store.path",
            "offset.store.sync.interval.ms",
        ),
        COMMITS,
    ),
    "auto.offset.reset": "the `start` of a subscription decides where it begins, and lost offsets are reported",
    "isolation.level": "webhookd delivers only what is committed",
    "enable.partition.eof": "webhookd needs it to learn how far it has read",
    "allow.auto.create.topics": "webhookd creates no topics",
    "topic.blacklist": "a subscription names its topics",
    **dict.fromkeys(("topic.metadata.refresh.interval.ms", "metadata.max.age.ms"), FRESH),
    **dict.fromkeys(
        (
            "acks",
            "request.required.acks",
            "enable.idempotence",
            "enable.gapless.guarantee",
            "transactional.id",
            "transaction.timeout.ms",
            "message.timeout.ms",
            "delivery.timeout.ms",
            "message.max.bytes",
            "batch.num.messages",
            "delivery.report.only.error",
        ),
        ACKNOWLEDGED,
    ),
    **dict.fromkeys(("max.poll.records", "share.acknowledgement.mode"), NO_SHARE),
    "statistics.interval.ms": "webhookd does not read librdkafka's statistics",
    "enable.sasl.oauthbearer.unsecure.jwt": "its tokens are not signed; set sasl.oauthbearer.method=oidc",
    **dict.fromkeys(
        (
            "builtin.features",
            "default.topic.config",
            "default_topic_conf",
            "enabled_events",
            "interceptors",
            "log.queue",
            "logger",
            "msg_order_cmp",
            "on_commit",
            "on_delivery",
            "opaque",
            "ssl_ca",
            "ssl_certificate",
            "ssl_engine_callback_data",
            "ssl_key",
        ),
        NO_VALUE,
    ),
}
"""Why a property is refused, by its name; names of callbacks end with `_cb`."""

OF_JAVA: Final[Mapping[str, str]] = {
    "sasl.jaas.config": "sasl.username and sasl.password",
    "sasl.login.callback.handler.class": "sasl.oauthbearer.method=oidc",
    "sasl.client.callback.handler.class": "sasl.oauthbearer.method=oidc",
    "ssl.keystore.type": "ssl.keystore.location (PKCS#12), or ssl.certificate.location and ssl.key.location (PEM)",
    "ssl.keystore.key": "ssl.key.pem",
    "ssl.keystore.certificate.chain": "ssl.certificate.pem",
    "ssl.truststore.location": "ssl.ca.location (PEM)",
    "ssl.truststore.certificates": "ssl.ca.pem",
    "ssl.truststore.password": "ssl.ca.location (PEM)",
    "ssl.truststore.type": "ssl.ca.location (PEM)",
}
"""Properties of Kafka's Java clients that librdkafka does not have, with what to set instead."""

CONSUMER_ONLY: Final = frozenset(
    {
        "check.crcs",
        "consume.callback.max.messages",
        "coordinator.query.interval.ms",
        "fetch.error.backoff.ms",
        "fetch.max.bytes",
        "fetch.message.max.bytes",
        "fetch.min.bytes",
        "fetch.queue.backoff.ms",
        "heartbeat.interval.ms",
        "max.partition.fetch.bytes",
        "max.poll.interval.ms",
        "queued.max.messages.kbytes",
        "queued.min.messages",
        "session.timeout.ms",
    }
)
"""Properties that are not refused and that only consumers have; a producer would log a warning about each."""

PRODUCER_ONLY: Final = frozenset(
    {
        "batch.size",
        "compression.codec",
        "compression.level",
        "compression.type",
        "linger.ms",
        "message.send.max.retries",
        "partitioner",
        "produce.offset.report",
        "queue.buffering.backpressure.threshold",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "queue.buffering.max.ms",
        "queuing.strategy",
        "request.timeout.ms",
        "retries",
        "sticky.partitioning.linger.ms",
    }
)
"""The same for producers."""


class KafkaProperties(Mapping[str, str]):
    """Properties by name; frozen, and secrets are masked in its text."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, name: str) -> str:
        """Return a value as it is, secrets included."""
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        """Return the properties as they are written in the setting; values outside SHOWN are masked."""
        return ",".join(f"{name}={value if name in SHOWN else MASK}" for name, value in self._values.items())

    def merged(self, later: Mapping[str, str]) -> "KafkaProperties":
        """Return these properties and those, of which each replaces the one of the same name."""
        return KafkaProperties({**self._values, **later})

    def without(self, names: frozenset[str]) -> dict[str, str]:
        """Return the properties that have none of these names."""
        return {name: value for name, value in self._values.items() if name not in names}

    def masked(self, text: str) -> str:
        """Replace in a text every value that is not shown."""
        hidden = {value for name, value in self._values.items() if name not in SHOWN} - BOOLEANS
        for value in sorted(hidden, key=len, reverse=True):
            if len(value) >= SHORTEST_MASKED:
                text = text.replace(value, MASK)
        return text


def parse_map(text: str) -> KafkaProperties:
    """Read a JSON object, or `name=value,name=value`. Raises ValueError without any value in its text."""
    text = text.strip()
    if text.startswith("{"):
        return from_entries(enumerate(_json_entries(text), 1))
    parts = [part for part in text.split(",") if part.strip()]
    return from_entries(enumerate(map(_entry, parts), 1))


def parse_file(text: str) -> KafkaProperties:
    """Read lines `name=value`; empty lines and lines that begin with # or ! are skipped.

    There are no escapes and no continued lines. Raises ValueError, with the number of the line and without any value.
    """
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return from_entries(
        ((number, _entry(line)) for number, line in lines if line and line[0] not in "#!"),
        "line",
    )


def from_entries(entries: Iterable[tuple[int, tuple[str, str] | None]], place: str = "entry") -> KafkaProperties:
    """Check numbered entries; one that is None has no `=`. Raises ValueError with the number of the wrong one."""
    found: dict[str, str] = {}
    for number, entry in entries:
        where = f"{place} {number}"
        if entry is None:
            comma = "; a value that has a comma needs the form of a JSON object" if place == "entry" else ""
            raise ValueError(f"{where} has no `=`: write name=value{comma}")
        name, value = entry
        if reason := refusal(name):
            raise ValueError(f"{where}: {reason}")
        if name in found:
            raise ValueError(f"{where}: {name} is set twice")
        found[name] = value
    return KafkaProperties(found)


def refusal(name: str) -> str:
    """Return why webhookd does not accept this property; empty if it does."""
    if not name:
        return "the name before `=` is empty"
    if name in OF_JAVA:
        return f"{name} is a property of Java clients: set {OF_JAVA[name]}"
    if name in REFUSED:
        return f"{name} cannot be set here: {REFUSED[name]}"
    if name.endswith("_cb"):
        return f"{name} cannot be set here: {NO_VALUE}"
    if name.startswith("test.mock."):
        return f"{name} cannot be set here: it replaces the brokers by a simulation"
    return ""


def contradiction(properties: Mapping[str, str]) -> str:
    """Return what librdkafka would accept and then not use; empty if there is nothing."""
    protocol = properties.get("security.protocol", "plaintext").lower()
    for name in properties:
        if name.startswith("sasl.") and not protocol.startswith("sasl_"):
            return f"{name} has no effect with security.protocol={protocol}: set sasl_ssl or sasl_plaintext"
        if name.startswith("ssl.") and not protocol.endswith("ssl"):
            return f"{name} has no effect with security.protocol={protocol}: set ssl or sasl_ssl"
    mechanism = properties.get("sasl.mechanism") or properties.get("sasl.mechanisms", "")
    if mechanism.upper() == "OAUTHBEARER" and properties.get("sasl.oauthbearer.method", "").lower() != "oidc":
        return "sasl.mechanism=OAUTHBEARER needs sasl.oauthbearer.method=oidc"
    return ""


def _entry(text: str) -> tuple[str, str] | None:
    name, separator, value = text.partition("=")
    return _cleaned(name, value) if separator else None


def _cleaned(name: str, value: str) -> tuple[str, str]:
    """Remove the space around both; in a PEM text, a backslash and an n stand for the end of a line."""
    name, value = name.strip(), value.strip()
    return name, value.replace("\\n", "\n") if name.endswith(".pem") else value


def _json_entries(text: str) -> Iterator[tuple[str, str]]:
    try:
        # As pairs: of two entries with one name, an object would keep the last one silently.
        entries = json.loads(text, object_pairs_hook=list)
    except ValueError as error:
        # The message of the error has a place in the text, and nothing of the text.
        raise ValueError(f"is not a JSON object: {error}") from None
    for name, value in entries:
        match value:
            case bool():
                yield name, str(value).lower()
            case str() | int() | float():
                yield name, str(value)
            case _:
                raise ValueError(f"the value of {name} is not a text, a number or a boolean")
