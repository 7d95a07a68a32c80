"""How every Kafka client of webhookd is made: bootstrap servers, and the properties that the operators have set.

A request of librdkafka only times out when no broker accepts the connection. The reason (a refused login, an unknown
certificate) is reported beside it, to a callback. The admin clients made here keep it and explain the time-out with it.

    error                                                          becomes
    _AUTHENTICATION, SASL_AUTHENTICATION_FAILED, _SSL,             KafkaAuthenticationFailed
    _TRANSPORT with an error of OpenSSL: the broker's TLS alert
    everything else                                                KafkaUnavailable, with librdkafka's last error
"""

import logging
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata

from webhookd.errors import KafkaAuthenticationFailed, KafkaUnavailable, UnusableSetting
from webhookd.kafka_properties import CONSUMER_ONLY, PRODUCER_ONLY, KafkaProperties, parse_file
from webhookd.settings import Settings

REFUSED: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001  # librdkafka's own codes begin with an underscore
        KafkaError._SSL,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
    }
)
OPENSSL: Final = "SSL routines::"
"""In the text of a _TRANSPORT error: TLS 1.3 reports a refused client certificate only after the handshake."""

UNEXPECTED_EOF: Final = "unexpected eof"
"""In the same text: the broker has ended. It refuses nothing."""

NO_ANSWER: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._WAIT_COORD,  # noqa: SLF001
    }
    | REFUSED
)
"""The errors of a request that no broker has answered."""

CLOSED: Final = "the brokers close the connection: check that `security.protocol` fits their listener"
"""The cause when librdkafka reports none and no broker has ever answered: the connection ends before the first answer.
A broker that has answered before and does so no more, such as a frozen one, has not refused the protocol."""

KEPT: Final = 64
STATE: Final = re.compile(r"\s*\(after \d+ms in state \w+[^)]*\)$")
"""The end of librdkafka's texts, which differs each time."""

_library_log = logging.getLogger("librdkafka")
_unheard = logging.getLogger("librdkafka.admin")
_unheard.setLevel(logging.CRITICAL + 1)
"""The log of admin clients: their errors are in the errors of their requests."""


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """What each client needs to connect; `bootstrap_servers` is host:port, comma separated."""

    bootstrap_servers: str
    properties: KafkaProperties = field(default_factory=KafkaProperties)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the connection of these settings; reads the file. Raises UnusableSetting."""
        properties = settings.kafka_config
        if settings.kafka_config_file is not None:
            try:
                text = settings.kafka_config_file.read_text(encoding="utf-8")
                properties = parse_file(text).merged(properties)
            except (OSError, ValueError) as error:
                reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
                raise UnusableSetting(f"{settings.kafka_config_file}: {reason}", setting="kafka_config_file") from None
        return cls(settings.kafka_bootstrap_servers, properties)

    def at(self, bootstrap_servers: str) -> "KafkaConnection":
        """Return the connection with the same properties to other addresses."""
        return replace(self, bootstrap_servers=bootstrap_servers)

    def consumer(self, config: Mapping[str, Any], logger: logging.Logger = _library_log) -> Consumer:
        """Return a consumer; the properties of the operators win over `config`."""
        return Consumer(self._config(config, PRODUCER_ONLY), logger=logger)

    def producer(self, config: Mapping[str, Any], logger: logging.Logger = _library_log) -> Producer:
        """Return a producer; the properties of the operators win over `config`."""
        return Producer(self._config(config, CONSUMER_ONLY), logger=logger)

    def admin(self, config: Mapping[str, Any]) -> "ExplainingAdmin":
        """Return an admin client; the properties of the operators win over `config`."""
        logger = _library_log if "debug" in self.properties else _unheard
        return ExplainingAdmin(self._config(config, CONSUMER_ONLY | PRODUCER_ONLY), logger)

    def _config(self, config: Mapping[str, Any], unused: frozenset[str]) -> dict[str, Any]:
        servers = {"bootstrap.servers": self.bootstrap_servers} if self.bootstrap_servers else {}
        return {**servers, **config, **self.properties.without(unused)}


class ConnectionErrors:
    """The errors that librdkafka reports beside the requests of one client; called on the thread that polls."""

    def __init__(self) -> None:
        self._recent: deque[KafkaError] = deque(maxlen=KEPT)
        self._cause: KafkaUnavailable | None = None
        self._answered = False

    def __call__(self, error: KafkaError) -> None:
        """Keep an error."""
        self._recent.append(error)

    def clear(self) -> None:
        """Forget all: a broker has answered."""
        self._recent.clear()
        self._cause = None
        self._answered = True

    def cause(self) -> KafkaUnavailable | None:
        """Return why the client cannot connect, as far as it is known; a refusal before any other error."""
        recent = list(self._recent)
        self._recent.clear()
        refused = [error for error in recent if is_refusal(error)]
        others = [error for error in recent if error.code() != KafkaError._ALL_BROKERS_DOWN]  # noqa: SLF001
        if refused:
            self._cause = KafkaAuthenticationFailed(_text(refused[-1]))
        elif others:
            self._cause = KafkaUnavailable(_text(others[-1]))
        elif recent and self._cause is None and not self._answered:
            self._cause = KafkaUnavailable(CLOSED)
        return self._cause


class ExplainingAdmin(AdminClient):
    """An admin client that knows why it cannot connect; any thread."""

    def __init__(self, config: dict[str, Any], logger: logging.Logger) -> None:
        self._errors = ConnectionErrors()
        watched: dict[str, Any] = {**config, "error_cb": self._errors}
        super().__init__(watched, logger=logger)

    def metadata(self, topic: str | None, timeout_s: float) -> ClusterMetadata:
        """Return the metadata of one topic, or of all. Raises KafkaUnavailable with the reason. Blocks."""
        try:
            found = self.list_topics(topic, timeout=timeout_s)
        except KafkaException as error:
            raise self.explain(error) from error
        self._drain()
        self._errors.clear()
        return found

    def explain(self, error: KafkaException) -> KafkaUnavailable:
        """Return the error of a request with the reason why no broker has answered it."""
        self._drain()
        cause = self._errors.cause() if error.args[0].code() in NO_ANSWER else None
        return cause or KafkaUnavailable(str(error.args[0].str()))

    def _drain(self) -> None:
        """Call the callbacks that wait, at most KEPT of them."""
        for _ in range(KEPT):
            if not self.poll(0):
                return


def is_refusal(error: KafkaError) -> bool:
    """Whether a login or a certificate was refused, by the broker or by this client."""
    if error.code() != KafkaError._TRANSPORT:  # noqa: SLF001
        return error.code() in REFUSED
    return OPENSSL in error.str() and UNEXPECTED_EOF not in error.str()


def _text(error: KafkaError) -> str:
    return STATE.sub("", error.str())
