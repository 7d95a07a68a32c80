"""Types of settings that are more than a text: addresses, networks, URLs, logins. Each brings its form.

A validator raises ValueError with the reason, which is read after the value: `"10.0.0.0/33" is not a network`.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, PlainValidator, SecretStr

from webhookd.configuration.forms import Form
from webhookd.configuration.texts import EMPTY
from webhookd.kafka_properties import KafkaProperties, parse_map

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_HOST_OF_ORIGIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
ANY_PORT = "0"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_FERNET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
_PROTOCOL = re.compile(r"(?:PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)://", re.IGNORECASE)


def _network(text: str) -> str:
    try:
        ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError("is not a network") from None
    return text


def _host_port(text: str) -> str:
    if not text:
        raise ValueError(EMPTY)
    host, colon, port = text.rpartition(":")
    if not colon or host.endswith(":"):
        raise ValueError("has no port")
    _check_host(host)
    _check_port(port)
    return text


def _broker_list(text: str) -> str:
    brokers = [broker.strip() for broker in text.split(",")]
    if not any(brokers):
        raise ValueError(EMPTY)
    for broker in filter(None, brokers):
        _check_broker(_PROTOCOL.sub("", broker, count=1))
    return text


def _check_broker(broker: str) -> None:
    bare = broker.startswith("[") and broker.endswith("]")
    host, colon, port = (broker, "", "") if bare else broker.rpartition(":")
    _check_host(host if colon else broker)
    if colon:
        _check_port(port)


def _check_host(host: str) -> None:
    if host.startswith("[") and host.endswith("]"):
        _check_address(host[1:-1])
    elif not _HOST.fullmatch(host):
        raise ValueError(f"has the host {host!r}, which is neither a name nor an address" if host else "has no host")


def _check_address(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        raise ValueError(f"has {text!r} in its brackets, which is not an address") from None


def _check_port(port: str) -> None:
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f"has the port {port!r}, which is not a number from 1 to 65535")


def _port_range(text: str) -> str:
    first, dash, last = text.strip().partition("-")
    _check_port(first)
    if dash:
        _check_port(last)
        if int(first) > int(last):
            raise ValueError("ends before it begins")
    return text


def _metrics_address(text: str) -> str:
    if text:
        host, colon, ports = text.rpartition(":")
        if not colon or host.endswith(":"):
            raise ValueError("has no port")
        _check_host(host)
        if ports != ANY_PORT:
            _port_range(ports)
    return text


def _mail_host(text: str) -> str:
    if "://" in text:
        raise ValueError("is a URL")
    if text and not _HOST.fullmatch(text) and not _is_address(text.strip("[]")):
        raise ValueError("is not a host name or an address")
    return text


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _login(secret: SecretStr) -> SecretStr:
    login = secret.get_secret_value()
    if login and not all(all(part.partition(":")[::2]) for part in login.split(",")):
        raise ValueError("is not a user, a colon and a password")
    return secret


def fernet_keys(secret: SecretStr) -> SecretStr:
    """Return keys, between commas or white space, as they are. Raises ValueError with a reason that shows none."""
    for number, key in enumerate(filter(None, re.split(r"[,\s]+", secret.get_secret_value())), start=1):
        if not _FERNET_KEY.fullmatch(key):
            raise ValueError(f"has a key, the one at place {number}, that is not 32 bytes in base64url")
    return secret


def _kafka_map(value: object) -> KafkaProperties:
    return value if isinstance(value, KafkaProperties) else parse_map(str(value))


def _origin(text: str) -> str:
    if text == "*":
        raise ValueError("would let the scripts of every site call the API with a key that they have got hold of")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or text != f"{parts.scheme}://{parts.netloc}".lower():
        raise ValueError("is not an origin in lower case without a path")
    if "@" in parts.netloc or not _HOST_OF_ORIGIN.fullmatch(parts.netloc):
        raise ValueError("has a host or a port that no origin has")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_NAMES:
        raise ValueError("is http, so its scripts can be changed on their way; only loopback may be http")
    return text


def _origin_name(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError("is not a host name" if text else EMPTY)
    return text


def _host_number(least: float, most: float, *, whole: bool) -> Callable[[str], str]:
    def check(text: str) -> str:
        host, equals, number = text.partition("=")
        name = host.strip()
        if not equals or not (name == "*" or _HOST.fullmatch(name.removeprefix("*."))):
            raise ValueError("has no host and no pattern of hosts before `=`")
        try:
            value = int(number) if whole else float(number)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise ValueError(f"has no {'whole ' * whole}number from {least} to {most} after `=`")
        return text

    return check


def _schemes(*schemes: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not text:
            raise ValueError(EMPTY)
        scheme = urlsplit(text).scheme if "://" in text else ""
        if not scheme:
            raise ValueError("has no scheme")
        if scheme.partition("+")[0] not in schemes:
            raise ValueError(f"has a scheme that is not one of {', '.join(schemes)}")
        return text

    return check


Network = Annotated[str, AfterValidator(_network), Form("a network like `10.0.0.0/8` or an address")]
HostPatternText = Annotated[str, Form("a host like `example.com`, or `*.example.com` for all hosts below it")]
"""Checked where it is used (webhookd/flow/attempt/host_pattern.py), because IDNA belongs to the flow."""

PortRange = Annotated[str, AfterValidator(_port_range), Form("a port like `443` or a range like `8000-8999`")]
HostPort = Annotated[str, AfterValidator(_host_port), Form("an address as `host:port`")]
MetricsAddress = Annotated[
    str,
    AfterValidator(_metrics_address),
    Form("an address as `host:port` or `host:first-last`; port 0 is any free one"),
]
Origin = Annotated[str, AfterValidator(_origin), Form("an origin like `https://app.example.com`")]
OriginName = Annotated[str, AfterValidator(_origin_name), Form("a host name like `webhooks.example.com`")]
BrokerList = Annotated[
    str, AfterValidator(_broker_list), Form("addresses as `host:port`, separated by commas; without a port it is 9092")
]
KafkaMap = Annotated[
    KafkaProperties,
    PlainValidator(_kafka_map),
    Form(
        "a map, as `name=value,name=value` or as a JSON object",
        hidden=True,
    ),
]
HostRate = Annotated[
    str,
    AfterValidator(_host_number(0.01, 100_000, whole=False)),
    Form("a host and a rate like `*.example.org=50` (0.01 to 100000)"),
]
HostConcurrency = Annotated[
    str,
    AfterValidator(_host_number(1, 10_000, whole=True)),
    Form("a host and a number like `*.example.org=4` (1 to 10000)"),
]
MailHost = Annotated[str, AfterValidator(_mail_host), Form("a host name or an address, without scheme and port")]
MailAddressText = Annotated[str, Form("an e-mail address")]
"""Checked where it is used (webhookd/edges/mailer.py), because the rules of mail addresses belong to the flow."""

Login = Annotated[SecretStr, AfterValidator(_login), Form("a login as `user:password`", hidden=True)]
FernetKeys = Annotated[
    SecretStr,
    AfterValidator(fernet_keys),
    Form("keys that `webhookd secrets generate-key` prints, separated by commas", hidden=True),
]
ProxyUrl = Annotated[SecretStr, Form("a URL as `http://[user:password@]host:port`", hidden=True)]
"""Checked where it is used (webhookd/flow/attempt/egress_proxy.py)."""

RedisUrl = Annotated[
    str,
    AfterValidator(_schemes("redis", "rediss", "unix", "sentinel", "memory")),
    Form("a URL like `redis://[user:password@]host:6379/0`", hidden=True),
]
DatabaseUrl = Annotated[
    str,
    AfterValidator(_schemes("postgresql", "postgres", "sqlite")),
    Form("a URL like `postgresql://user:password@host:5432/name`", hidden=True),
]
