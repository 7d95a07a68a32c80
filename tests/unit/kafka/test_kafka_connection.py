"""The clients that are made of the operators' properties, and why they cannot connect. No broker is asked."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from webhookd.edges.kafka_connection import CLOSED, ConnectionErrors, KafkaConnection
from webhookd.edges.kafka_connection_check import checked_connection
from webhookd.errors import KafkaAuthenticationFailed, KafkaUnavailable, UnusableSetting
from webhookd.kafka_properties import KafkaProperties
from webhookd.settings import Settings

SECRET = "tellnobody"
SASL = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "a", "sasl.password": SECRET}
OIDC = {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc"}

UNUSABLE: Mapping[str, tuple[Mapping[str, str], str]] = {
    "unknown": ({"no.such.property": SECRET}, 'No such configuration property: "no.such.property"'),
    "near": ({"sasl.usernam": SECRET, "security.protocol": "SASL_SSL"}, "did you mean sasl.username?"),
    "no protocol": (
        {"security.protocol": "SASL-SSL", "sasl.password": SECRET},
        "security.protocol=SASL-SSL is no protocol: write plaintext, ssl, sasl_plaintext or sasl_ssl",
    ),
    "bad value": ({"debug": "all,none"}, 'for configuration property "debug"'),
    "bad number": ({"session.timeout.ms": SECRET}, 'Invalid value for configuration property "session.timeout.ms"'),
    "no effect": ({"sasl.password": SECRET}, "has no effect with security.protocol=plaintext"),
    "no file": ({"security.protocol": "SSL", "ssl.ca.location": "/no/ca.pem"}, "/no/ca.pem: there is no such file"),
    "not PEM": ({"security.protocol": "SSL", "ssl.key.pem": SECRET}, "ssl.key.pem failed: not in PEM format"),
    "no mechanism": ({"security.protocol": "SASL_SSL"}, "No provider for SASL mechanism GSSAPI"),
    "no password": ({**SASL, "sasl.password": ""}, "sasl.username and sasl.password must be set"),
    "no endpoint": (OIDC, "`sasl.oauthbearer.token.endpoint.url` is mandatory"),
    "producer": (
        {"linger.ms": "-1"},
        'Configuration property "queue.buffering.max.ms" value -1 is outside allowed range',
    ),
    "both producer": ({"max.in.flight": "9"}, "`max.in.flight` must be set <= 5 when `enable.idempotence` is true"),
    "secret in the answer": ({"security.protocol": "SSL", "ssl.curves.list": SECRET}, "ssl.curves.list failed"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_librdkafkas_answer_is_one_line_without_secrets(name: str) -> None:
    properties, message = UNUSABLE[name]
    with pytest.raises(UnusableSetting) as raised:
        checked_connection(Settings(kafka_config=KafkaProperties(properties)))
    text = str(raised.value)
    assert text.startswith("WEBHOOKD_KAFKA_CONFIG: ")
    assert message in text
    assert SECRET not in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file or directory"),
        ("# a\nsecurity.protocol", "line 2 has no `=`"),
        (f"sasl.password={SECRET}\ngroup.id=a", "line 2: group.id cannot be set here"),
        ("security.protocol=sasl", "security.protocol=sasl is no protocol"),
    ],
)
def test_unusable_file_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "client.properties"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UnusableSetting, match=r"^WEBHOOKD_KAFKA_CONFIG_FILE: ") as raised:
        checked_connection(Settings(kafka_config_file=path))
    assert message in str(raised.value)
    assert SECRET not in str(raised.value)


def test_setting_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "client.properties"
    path.write_text("client.id=file\nsocket.keepalive.enable=false\n")
    settings = Settings(kafka_config=KafkaProperties({"client.id": "setting"}), kafka_config_file=path)
    assert dict(KafkaConnection.of(settings).properties) == {
        "client.id": "setting",
        "socket.keepalive.enable": "false",
    }
    assert "file" in path.read_text()


def test_usable_properties_are_accepted_without_a_connection() -> None:
    oidc = {
        **OIDC,
        "sasl.oauthbearer.client.id": "a",
        "sasl.oauthbearer.client.secret": SECRET,
        "sasl.oauthbearer.token.endpoint.url": "http://192.0.2.1/token",
    }
    for properties in (SASL, oidc, {"security.protocol": "SSL", "client.id": "a", "heartbeat.interval.ms": "2000"}):
        found = checked_connection(Settings(kafka_config=KafkaProperties(properties)))
        assert (found.bootstrap_servers, dict(found.properties)) == ("127.0.0.1:9092", properties)
        assert SECRET not in repr(found)


def test_no_client_warns_of_properties_of_another_kind(caplog: pytest.LogCaptureFixture) -> None:
    """Librdkafka logs the warnings when the client is made; the threshold lets them through."""
    connection = KafkaConnection("", KafkaProperties({"fetch.min.bytes": "10", "compression.type": "lz4"}))
    heard = logging.getLogger("heard")
    with caplog.at_level(logging.DEBUG, "heard"):
        connection.consumer({"group.id": "a"}, heard).close()
        connection.producer({}, heard).poll(0.1)
    ignored = [line for line in caplog.messages if "will be ignored" in line]
    assert ignored == []


def error(code: int, text: str = "") -> KafkaError:
    return KafkaError(code, text)


TIMEOUT = error(KafkaError._TRANSPORT, "b/1: Connect to b failed: Connection refused (after 0ms in state CONNECT)")
LOGIN = error(KafkaError._AUTHENTICATION, "b/1: SASL authentication error: no (after 301ms in state AUTH_REQ, 2 more)")
ALERT = error(KafkaError._TRANSPORT, "b/1: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate")
ENDED = error(KafkaError._TRANSPORT, "b/1: error:0A000126:SSL routines::unexpected eof while reading")
AUTHORITY = error(KafkaError._SSL, "b/1: SSL handshake failed: certificate verify failed")
DOWN = error(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")

CAUSES: Mapping[str, tuple[list[KafkaError], type[KafkaUnavailable] | None, str]] = {
    "nothing known": ([], None, ""),
    "connection refused": ([TIMEOUT, DOWN], KafkaUnavailable, "b/1: Connect to b failed: Connection refused"),
    "login": ([LOGIN, DOWN], KafkaAuthenticationFailed, "b/1: SASL authentication error: no"),
    "login at one of two": ([LOGIN, TIMEOUT, DOWN], KafkaAuthenticationFailed, "b/1: SASL authentication error: no"),
    "client certificate": ([ALERT], KafkaAuthenticationFailed, ALERT.str()),
    "authority": ([AUTHORITY, TIMEOUT], KafkaAuthenticationFailed, AUTHORITY.str()),
    "broker ended": ([ENDED], KafkaUnavailable, ENDED.str()),
    "closed without a word": ([DOWN], KafkaUnavailable, CLOSED),
}


@pytest.mark.parametrize("name", CAUSES)
def test_cause_is_the_refusal_or_the_last_error(name: str) -> None:
    reported, kind, detail = CAUSES[name]
    errors = ConnectionErrors()
    for one in reported:
        errors(one)
    found = errors.cause()
    assert (type(found) if found else None, found.detail if found else "") == (kind, detail)


def test_cause_lasts_until_another_error_or_an_answer() -> None:
    errors = ConnectionErrors()
    seen = []
    for reported in ([LOGIN], [], [DOWN], [TIMEOUT]):
        for one in reported:
            errors(one)
        cause = errors.cause()
        seen.append(cause.code if cause else "")
    errors.clear()
    assert seen == [*["kafka_authentication_failed"] * 3, "kafka_unavailable"]
    assert errors.cause() is None


def test_broker_that_has_answered_before_is_not_blamed_for_the_protocol() -> None:
    """A frozen one: librdkafka closes the connection itself, and reports only that all brokers are down."""
    errors = ConnectionErrors()
    errors.clear()
    errors(DOWN)
    assert errors.cause() is None
