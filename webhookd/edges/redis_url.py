"""Parses `WEBHOOKD_REDIS_URL`, once for all libraries.

    redis://[[user]:password@]host[:port][/db]                              TCP
    rediss://[[user]:password@]host[:port][/db]                             TLS; certificate and host name are verified
    unix://[[user]:password@]/path/of/redis.sock[?db=0]                     Unix socket; also redis+socket://
    sentinel://[[user]:password@]host[:port][,host[:port]…][/db]?master=…   the primary that Sentinels name
    memory://                                                               no Redis: the memory of this process

redis-py, kombu and Flower each parse URLs in their own way: one ignores what another refuses or understands
differently. So they get the parsed address, and none of them gets the URL. A text about an unusable URL repeats no part
of it but the names of parameters, because a password that is not percent-encoded may be in any part.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from webhookd.edges.redis_address import MEMORY, SENTINEL, SOCKET, TCP, TLS, Kind, Login, RedisAddress, RedisTls
from webhookd.errors import UnusableSetting

SETTING: Final = "redis_url"

PORT: Final = 6379
SENTINEL_PORT: Final = 26379

SCHEMES: Final[Mapping[str, Kind]] = {
    "redis": TCP,
    "rediss": TLS,
    "unix": SOCKET,
    "redis+socket": SOCKET,
    "sentinel": SENTINEL,
    "memory": MEMORY,
}

_LOGIN: Final = {"username", "password"}
_TLS: Final = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"}
PARAMETERS: Final[Mapping[Kind, set[str]]] = {
    TCP: {"db", *_LOGIN},
    TLS: {"db", *_LOGIN, *_TLS},
    SOCKET: {"db", "virtual_host", *_LOGIN},
    SENTINEL: {"db", "master", "sentinel_username", "sentinel_password", "ssl", *_LOGIN, *_TLS},
    MEMORY: set(),
}
"""The query parameters of each kind. Those that redis-py or kombu have too mean the same as there."""

_CERT_REQS: Final = {"required": True, "optional": True, "none": False}
"""Whether the certificate is verified, by `ssl_cert_reqs`. In a client, `optional` has the effect of `required`."""

_FLAGS: Final = {"true": True, "false": False}


def parse(url: str) -> RedisAddress:
    """Return the address that a URL describes. Raises UnusableSetting; reads no file."""
    parts, kind = _split(url)
    query = _query(parts.query, kind)
    address = RedisAddress(
        kind=kind,
        hosts=_hosts(parts.netloc.rpartition("@")[2], kind),
        path=unquote(parts.path) if kind == SOCKET else "",
        db=_db(parts.path if kind in {TCP, TLS, SENTINEL} else "", query),
        login=_login(parts.netloc, query),
        primary_name=query.get("master", ""),
        sentinel_login=Login(user=query.get("sentinel_username"), password=query.get("sentinel_password")),
        tls=_tls(kind, query),
    )
    if kind == SENTINEL and not address.primary_name:
        raise _unusable("has no name of the primary: add ?master=mymaster, with the name that the Sentinels use")
    if kind == SOCKET and not address.path.strip("/"):
        raise _unusable("has no path of a socket: write unix:///path/of/redis.sock")
    return address


def _unusable(detail: str) -> UnusableSetting:
    return UnusableSetting(detail, setting=SETTING)


def _split(url: str) -> tuple[SplitResult, Kind]:
    scheme, separator, rest = url.strip().partition("://")
    kind = SCHEMES.get(scheme.lower()) if separator else None
    if kind is None:
        raise _unusable(f"must begin with {_one_of(f'{name}://' for name in SCHEMES)}")
    try:
        parts = urlsplit(f"{kind}://{rest}")
    except ValueError:
        raise _unusable("has brackets that enclose no IPv6 address") from None
    if parts.fragment or "@" in parts.path + parts.query:
        raise _unusable("has a #, / or ? in user or password: write %23 for #, %2F for / and %3F for ?")
    return parts, kind


def _query(text: str, kind: Kind) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name not in PARAMETERS[kind]:
            known = _one_of(sorted(PARAMETERS[kind])) or "none"
            raise _unusable(f"has the unknown parameter {name}; those of {kind}:// are {known}")
        if name in found:
            raise _unusable(f"has the parameter {name} twice")
        found[name] = value
    return found


def _hosts(place: str, kind: Kind) -> tuple[tuple[str, int], ...]:
    if kind == MEMORY:
        return ()
    if kind == SOCKET:
        if place:
            raise _unusable("has a host where a path must be: write unix:///path/of/redis.sock, with three slashes")
        return ()
    if "," in place and kind != SENTINEL:
        raise _unusable("has several hosts; only sentinel:// may have several")
    return tuple(_host(text, SENTINEL_PORT if kind == SENTINEL else PORT) for text in place.split(","))


def _host(text: str, default_port: int) -> tuple[str, int]:
    """Return the host and port of `host`, `host:port`, `[::1]` or `[::1]:port`."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = unquote(parts.hostname or ""), default_port if parts.port is None else parts.port
    except ValueError:
        port = 0
    if not port:
        raise _unusable("has a port that is not a number from 1 to 65535")
    if not host:
        raise _unusable("has no host: write redis://host:6379/0")
    return host, port


def _db(path: str, query: Mapping[str, str]) -> int:
    given = {text for text in (path.strip("/"), query.get("db", ""), query.get("virtual_host", "")) if text}
    if len(given) > 1:
        raise _unusable("has two different databases")
    text = given.pop() if given else "0"
    if not (text.isascii() and text.isdecimal()):
        raise _unusable("has a database that is not a number: write /0 behind the host, or ?db=0 behind a socket")
    return int(text)


def _login(netloc: str, query: Mapping[str, str]) -> Login:
    before, at, _ = netloc.rpartition("@")
    user, colon, password = before.partition(":")
    if not at:
        return Login(user=query.get("username"), password=query.get("password"))
    if _LOGIN & query.keys():
        raise _unusable("has a login before the host and another one in its parameters")
    if not colon:
        raise _unusable("has a user without a password: write :password@ for a password without a user")
    return Login(user=unquote(user) or None, password=unquote(password) or None)


def _tls(kind: Kind, query: Mapping[str, str]) -> RedisTls | None:
    if kind != TLS and not _flag(query, "ssl", default=False):
        if unused := sorted(_TLS & query.keys()):
            raise _unusable(f"has {unused[0]} without ssl=true")
        return None
    required = query.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if required not in _CERT_REQS:
        raise _unusable(f"has an ssl_cert_reqs that is none of {_one_of(_CERT_REQS)}")
    return RedisTls(
        ca_file=_file(query, "ssl_ca_certs"),
        cert_file=_file(query, "ssl_certfile"),
        key_file=_file(query, "ssl_keyfile"),
        verify_certificate=_CERT_REQS[required],
        verify_host_name=_flag(query, "ssl_check_hostname", default=True),
    )


def _flag(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = query.get(name)
    if text is not None and text.lower() not in _FLAGS:
        raise _unusable(f"has an {name} that is neither true nor false")
    return default if text is None else _FLAGS[text.lower()]


def _file(query: Mapping[str, str], name: str) -> Path | None:
    return Path(query[name]) if query.get(name) else None


def _one_of(names: Iterable[str]) -> str:
    *others, last = [*names] or [""]
    return f"{', '.join(others)} or {last}" if others else last
