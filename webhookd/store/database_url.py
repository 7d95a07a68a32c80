"""WEBHOOKD_DATABASE_URL: which forms are accepted, and what they mean.

form                                                    database
postgres://…, postgresql://…, postgresql+psycopg2://…   Postgres; a URL as libpq reads it, with all its parameters
sqlite:///file                                          SQLite in a file

Everything that can be checked without the server is checked here, because an error of the server counts as an outage
that may pass. No message shows a part of the URL that may be a password.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from random import sample

import psycopg2
from psycopg2.extensions import parse_dsn
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from webhookd.errors import UnusableSetting

SETTING = "database_url"
FORM = "write postgresql://user:password@host:5432/database or sqlite:///file"

POSTGRES_SCHEMES = ("postgres", "postgresql", "postgres+psycopg2", "postgresql+psycopg2")
SQLITE_SCHEMES = ("sqlite", "sqlite+pysqlite")

CHOICES: Mapping[str, frozenset[str]] = {
    "sslmode": frozenset(("disable", "allow", "prefer", "require", "verify-ca", "verify-full")),
    "target_session_attrs": frozenset(("any", "read-write", "read-only", "primary", "standby", "prefer-standby")),
    "load_balance_hosts": frozenset(("disable", "random")),
    "channel_binding": frozenset(("disable", "prefer", "require")),
    "gssencmode": frozenset(("disable", "prefer", "require")),
}
"""Parameters that libpq checks only when it connects, each with the values that it accepts."""

FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
SYSTEM_CERTIFICATES = "system"


@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """SQLite in a file."""

    url: URL


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A Postgres, as the parameters that libpq connects with."""

    parameters: Mapping[str, str]

    def servers(self) -> Iterator[Mapping[str, str]]:
        """The servers in the order in which to try them, each as the parameters of a connection to it alone.

        libpq itself would try several servers in turn, but it never leaves one that does not answer, because it has
        no time limits when the caller waits for the socket.
        """
        hosts = list(self._hosts())
        if len(hosts) <= 1:
            yield self.parameters
            return
        if self.parameters.get("load_balance_hosts") == "random":
            hosts = sample(hosts, len(hosts))
        wanted = self.parameters.get("target_session_attrs", "any")
        for attributes in ("standby", "any") if wanted == "prefer-standby" else (wanted,):
            for host in hosts:
                yield {**self.parameters, **host, "target_session_attrs": attributes}

    def _hosts(self) -> Iterator[Mapping[str, str]]:
        """The host, its address and its port, for each of them."""
        names, addresses, ports = (self._listed(name) for name in ("host", "hostaddr", "port"))
        count = max(len(names), len(addresses), 1)
        ports = ports * count if len(ports) == 1 else ports
        for host, address, port in zip_longest(names, addresses, ports[:count], fillvalue=""):
            found = {"host": host, "hostaddr": address, "port": port}
            yield {name: value for name, value in found.items() if name in self.parameters}

    def _listed(self, name: str) -> list[str]:
        return self.parameters[name].split(",") if name in self.parameters else []


def parse(url: str) -> PostgresUrl | SqliteUrl:
    """Read the URL; connects to nothing. Raises UnusableSetting."""
    scheme, separator, rest = url.strip().partition("://")
    if not separator:
        raise _unusable(f"it is not a URL: {FORM}")
    if scheme in POSTGRES_SCHEMES:
        return PostgresUrl(_libpq_parameters(rest))
    if scheme in SQLITE_SCHEMES:
        return SqliteUrl(_sqlite(f"{scheme}://{rest}"))
    if scheme.startswith(("postgres", "sqlite")):
        raise _unusable(f"webhookd has no driver for {scheme}://: {FORM}")
    raise _unusable(f"webhookd works with Postgres and SQLite, not with {scheme}://: {FORM}")


def _unusable(detail: str) -> UnusableSetting:
    return UnusableSetting(detail, setting=SETTING)


def _sqlite(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise _unusable(f"it cannot be read: {FORM}") from None
    if url.host or not url.database or url.database == ":memory:":
        raise _unusable("SQLite needs a file: write sqlite:///file, or sqlite:////directory/file for an absolute path")
    return url


def _libpq_parameters(rest: str) -> Mapping[str, str]:
    before, query = _without_query(rest)
    _check_authority(_parsed(before))
    _check_names(query)
    parameters = _parsed(rest)
    _check_authority(parameters)
    _check_values(parameters)
    return parameters


def _without_query(rest: str) -> tuple[str, str]:
    """What precedes the query, and the query; a question mark in the password does not begin it."""
    user, at, after = rest.partition("@")
    if not at or "/" in user:
        user, at, after = "", "", rest
    before, _, query = after.partition("?")
    return f"{user}{at}{before}", query


def _parsed(rest: str) -> dict[str, str]:
    try:
        parameters: dict[str, str] = parse_dsn(f"postgresql://{rest}")
    except psycopg2.ProgrammingError:  # its text may show the password
        reason = "percent-encode special characters, such as %40 for @, %25 for %, and %3D for = in a parameter's value"
        raise _unusable(f"it cannot be read: {reason}; {FORM}") from None
    return parameters


def _check_names(query: str) -> None:
    """Refuse a parameter that libpq does not know, and one that is given twice, of which libpq would ignore one."""
    names = [part.partition("=")[0] for part in query.split("&") if part]
    for name in names:
        if names.count(name) > 1:
            raise _unusable(f"{name} is given twice; several hosts are written as host=one,two&port=5432,5432")
        try:
            parse_dsn(f"postgresql:///?{name}={'true' if name == 'ssl' else ''}")
        except psycopg2.ProgrammingError:
            raise _unusable(f"Postgres knows no parameter {name}") from None


def _check_authority(parameters: Mapping[str, str]) -> None:
    hosts, ports = (parameters.get(name, "").split(",") for name in ("host", "port"))
    # What follows the first @ or / of an unencoded password is read as a host or as the database.
    if any("@" in parameters.get(name, "") for name in ("host", "dbname")):
        raise _unusable(f"an @ or / in the password must be written as %40 or %2F; {FORM}")
    if any(port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536) for port in ports):
        raise _unusable(f"the port is not a number from 1 to 65535; {FORM}")
    if len(ports) not in (1, len(hosts)):
        raise _unusable("give one port for all hosts, or one for each host")


def _check_values(parameters: Mapping[str, str]) -> None:
    for name, choices in CHOICES.items():
        if parameters.get(name, next(iter(choices))) not in choices:
            raise _unusable(f"{name} is one of {', '.join(sorted(choices))}")
    if "connect_timeout" in parameters and not _is_count(parameters["connect_timeout"]):
        raise _unusable("connect_timeout is a number of seconds from 1")
    for name in FILES:
        file = parameters.get(name, "")
        if file and file != SYSTEM_CERTIFICATES and not Path(file).is_file():
            raise _unusable(f"{name}: there is no file {file}")


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) > 0
