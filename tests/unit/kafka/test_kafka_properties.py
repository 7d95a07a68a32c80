"""How Kafka properties are written, which are refused, and what is shown of them.

Oracle for the lists of names: the table of properties that librdkafka itself prints.
"""

import ctypes
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import confluent_kafka
import pytest

from webhookd import kafka_properties
from webhookd.errors import UnusableSetting
from webhookd.kafka_properties import KafkaProperties, contradiction, parse_file, parse_map, refusal
from webhookd.settings import Settings
from webhookd.settings_loader import load_settings

ROOT = Path(__file__).resolve().parents[3]
SECRET = "tell=nobody, #1"
OURS = {"default.topic.config", "logger", "on_commit", "on_delivery"}
"""Names that confluent-kafka reads in a configuration, and librdkafka does not have."""

TUNABLE = {
    "client.id",
    "fetch.queue.backoff.ms",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "reconnect.backoff.max.ms",
    "session.timeout.ms",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
}
"""What webhookd's clients set, and operators may change: nothing but speed and cost depends on it."""


@cache
def librdkafka_table() -> Mapping[str, str]:
    """C, P or * by name: for consumers, for producers, or for both."""
    place = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    library = ctypes.CDLL(str(next(place.glob("librdkafka*"))))
    libc = ctypes.CDLL(None)
    libc.fmemopen.restype = ctypes.c_void_p
    libc.fclose.argtypes = [ctypes.c_void_p]
    library.rd_kafka_conf_properties_show.argtypes = [ctypes.c_void_p]
    buffer = ctypes.create_string_buffer(1 << 20)
    stream = libc.fmemopen(buffer, ctypes.c_size_t(len(buffer)), b"w")
    library.rd_kafka_conf_properties_show(stream)
    libc.fclose(stream)
    rows = re.findall(r"^(\w\S*) +\| +([CP*]) +\|", buffer.value.decode(), re.MULTILINE)
    # Some names are in both tables, of clients and of topics: the first one counts.
    return dict(reversed(rows))


FORMS = {
    "pairs": "security.protocol=SASL_SSL, sasl.username = orders ,sasl.password=a=b",
    "json": '{"security.protocol": "SASL_SSL", "sasl.username": "orders", "sasl.password": "a=b"}',
    "file": "# how to log in\n\nsecurity.protocol=SASL_SSL\n! more\n  sasl.username = orders\r\nsasl.password=a=b\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_properties(form: str) -> None:
    found = parse_file(FORMS[form]) if form == "file" else parse_map(FORMS[form])
    assert dict(found) == {"security.protocol": "SASL_SSL", "sasl.username": "orders", "sasl.password": "a=b"}


def test_json_has_any_value() -> None:
    text = '{"sasl.password": "a,b=c #d", "heartbeat.interval.ms": 3000, "socket.keepalive.enable": true}'
    assert dict(parse_map(text)) == {
        "sasl.password": "a,b=c #d",
        "heartbeat.interval.ms": "3000",
        "socket.keepalive.enable": "true",
    }


def test_line_of_a_file_keeps_commas_and_marks_of_comments() -> None:
    assert parse_file(f"sasl.password={SECRET}")["sasl.password"] == SECRET


def test_pem_text_on_one_line_gets_its_lines_back() -> None:
    assert parse_file(r"ssl.ca.pem=-----BEGIN-----\nabc\n")["ssl.ca.pem"] == "-----BEGIN-----\nabc\n"


@pytest.mark.parametrize("empty", ["", " ", "{}", ","])
def test_empty_means_none(empty: str) -> None:
    assert parse_map(empty) == {}


WRONG_MAPS = {
    "security.protocol=SSL,tellnobody": "entry 2 has no `=`: write name=value; a value that has a comma needs",
    "=tellnobody": "entry 1: the name before `=` is empty",
    "sasl.password=tellnobody,sasl.password=tellnobody": "entry 2: sasl.password is set twice",
    '{"sasl.password": "tellnobody", "sasl.password": "x"}': "entry 2: sasl.password is set twice",
    '{"sasl.password": "tellnobody"': "is not a JSON object: Expecting ',' delimiter",
    '{"sasl.password": ["tellnobody"]}': "the value of sasl.password is not a text",
    "group.id=tellnobody": "entry 1: group.id cannot be set here: each subscription has a consumer group of its own",
}


@pytest.mark.parametrize("text", WRONG_MAPS)
def test_wrong_map_is_one_line_without_the_value(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(WRONG_MAPS[text])) as raised:
        parse_map(text)
    assert "tellnobody" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_wrong_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOKD_KAFKA_CONFIG", "security.protocol=SSL,tellnobody")
    with pytest.raises(UnusableSetting) as raised:
        load_settings()
    assert str(raised.value).startswith("WEBHOOKD_KAFKA_CONFIG: entry 2 has no `=`")
    assert "tellnobody" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# a\n\nsecurity.protocol", "line 3 has no `=`: write name=value"),
        ("a=1\nsasl.jaas.config=x", "line 2: sasl.jaas.config is a property of Java clients: set sasl.username and"),
        ("bootstrap.servers=x:1", "line 1: bootstrap.servers cannot be set here: set WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS"),
    ],
)
def test_wrong_line_of_a_file_has_its_number(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_file(text)


@pytest.mark.parametrize(
    "name",
    [
        *("group.id", "enable.auto.commit", "bootstrap.servers", "auto.offset.reset", "enable.auto.offset.store"),
        *("isolation.level", "partition.assignment.strategy", "group.protocol", "error_cb", "rebalance_cb", "oauth_cb"),
        *("transactional.id", "acks", "test.mock.num.brokers", "plugin_cb", "ssl.truststore.location"),
    ],
)
def test_what_webhookd_decides_is_refused_by_name(name: str) -> None:
    assert refusal(name).startswith(name)


def test_only_librdkafkas_names_are_listed() -> None:
    known = librdkafka_table().keys() | OURS
    listed = {*kafka_properties.REFUSED, *kafka_properties.SHOWN}
    assert (listed - known, kafka_properties.OF_JAVA.keys() & known) == (set(), set())


@pytest.mark.parametrize(
    ("kind", "names"), [("C", kafka_properties.CONSUMER_ONLY), ("P", kafka_properties.PRODUCER_ONLY)]
)
def test_each_property_of_one_kind_of_client_is_listed(kind: str, names: frozenset[str]) -> None:
    found = {name for name, of in librdkafka_table().items() if of == kind and not refusal(name)}
    assert found == names


def test_what_the_clients_set_is_refused_or_tunable() -> None:
    places = [*(ROOT / "webhookd" / "edges").glob("*.py"), *(ROOT / "workers" / "ingest").rglob("*.py")]
    known = librdkafka_table()
    found = {
        name
        for place in places
        for name in re.findall(r'"([a-z_.]+)":', place.read_text(encoding="utf-8"))
        if name in known
    }
    assert {name for name in found if not refusal(name)} == TUNABLE


def test_secrets_are_masked_wherever_settings_are_shown() -> None:
    hidden = [name for name in librdkafka_table() if name not in kafka_properties.SHOWN]
    assert {"sasl.password", "ssl.key.pem", "ssl.key.password", "ssl.keystore.password"} <= set(hidden)
    properties = KafkaProperties({"sasl.username": "orders", **dict.fromkeys(hidden, SECRET)})
    settings = Settings(kafka_config=properties)
    for text in (repr(settings), str(settings.shown()), str(properties), f"{properties!r}"):
        assert SECRET not in text
        assert "sasl.username=orders" in text
        assert "sasl.password=****" in text


def test_secret_is_masked_in_the_text_of_an_error() -> None:
    properties = KafkaProperties({"sasl.password": SECRET, "sasl.mechanism": "PLAIN", "socket.nagle.disable": "true"})
    assert properties.masked(f"PLAIN: {SECRET} is true") == "PLAIN: **** is true"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sasl.username=a", "sasl.username has no effect with security.protocol=plaintext: set sasl_ssl or"),
        ("security.protocol=SSL,sasl.password=a", "sasl.password has no effect with security.protocol=ssl"),
        ("ssl.ca.location=a", "ssl.ca.location has no effect with security.protocol=plaintext: set ssl or sasl_ssl"),
        ("security.protocol=SASL_PLAINTEXT,ssl.ca.location=a", "has no effect with security.protocol=sasl_plaintext"),
        ("security.protocol=SASL_SSL,sasl.mechanism=OAUTHBEARER", "needs sasl.oauthbearer.method=oidc"),
        ("security.protocol=SASL_SSL,sasl.mechanism=PLAIN,ssl.ca.location=a,sasl.username=b", ""),
        ("security.protocol=ssl,ssl.ca.location=a,client.id=b", ""),
    ],
)
def test_property_without_effect_is_found(text: str, message: str) -> None:
    found = contradiction(parse_map(text))
    assert message in found if message else found == ""
