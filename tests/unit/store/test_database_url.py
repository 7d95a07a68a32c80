"""Which URLs of databases are accepted, and what each means. Oracle: libpq's documentation of connection URIs."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from webhookd.errors import UnusableSetting
from webhookd.store.database import Database
from webhookd.store.database_url import PostgresUrl, SqliteUrl, parse
from webhookd.store.migrating import upgrade

SECRET = "s3cr3t"
"""No message may show it."""

LOGIN = {"user": "u", "password": "p", "host": "h", "dbname": "d"}


def servers(url: str) -> list[Mapping[str, str]]:
    parsed = parse(url)
    assert isinstance(parsed, PostgresUrl)
    return list(parsed.servers())


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgres+psycopg2"])
def test_every_name_of_postgres_is_accepted(scheme: str) -> None:
    assert servers(f"{scheme}://u:p@h/d\n") == [LOGIN]


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("u:p@h/d?sslmode=verify-full", {**LOGIN, "sslmode": "verify-full"}),
        ("u:p@h/d?ssl=true", {**LOGIN, "sslmode": "require"}),
        (
            "u:p@h/d?sslmode=verify-full&sslrootcert=system",
            {**LOGIN, "sslmode": "verify-full", "sslrootcert": "system"},
        ),
        ("u:p@h/d?options=-csearch_path%3Dwebhooks", {**LOGIN, "options": "-csearch_path=webhooks"}),
        ("u:p@h/d?application_name=webhookd", {**LOGIN, "application_name": "webhookd"}),
        ("u:p@h/d?connect_timeout=10", {**LOGIN, "connect_timeout": "10"}),
        ("/d", {"dbname": "d"}),
        ("/d?host=/run/postgresql", {"dbname": "d", "host": "/run/postgresql"}),
        ("%2Frun%2Fpostgresql/d", {"dbname": "d", "host": "/run/postgresql"}),
        ("u@[::1]:5433/d", {"user": "u", "host": "::1", "port": "5433", "dbname": "d"}),
        ("u:p%40%2F%25@h/d", {**LOGIN, "password": "p@/%"}),
        ("u:p?#x@h/d", {**LOGIN, "password": "p?#x"}),
    ],
)
def test_parameters_are_those_of_libpq(rest: str, expected: dict[str, str]) -> None:
    assert servers(f"postgresql://{rest}") == [expected]


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("a:1,b:2/d?target_session_attrs=read-write", ["a:1 read-write", "b:2 read-write"]),
        ("/d?host=a,b&port=1,2", ["a:1 any", "b:2 any"]),
        ("/d?host=a,b&port=1", ["a:1 any", "b:1 any"]),
        ("a:1,b:2/d?target_session_attrs=prefer-standby", ["a:1 standby", "b:2 standby", "a:1 any", "b:2 any"]),
    ],
)
def test_several_hosts_are_tried_one_after_the_other(rest: str, expected: list[str]) -> None:
    found = servers(f"postgresql://{rest}")
    assert [f"{one['host']}:{one['port']} {one['target_session_attrs']}" for one in found] == expected


def test_addresses_keep_the_names_of_their_certificates() -> None:
    found = servers("postgresql:///d?host=one,two&hostaddr=10.0.0.1,10.0.0.2")
    assert [(one["host"], one["hostaddr"]) for one in found] == [("one", "10.0.0.1"), ("two", "10.0.0.2")]
    assert "port" not in found[0]


def test_balanced_hosts_are_all_tried() -> None:
    found = servers("postgresql://a,b,c/d?load_balance_hosts=random")
    assert sorted(one["host"] for one in found) == ["a", "b", "c"]


@pytest.mark.parametrize("url", ["sqlite:///file.db", "sqlite+pysqlite:////folder/file.db"])
def test_sqlite_needs_a_file(url: str) -> None:
    assert isinstance(parse(url), SqliteUrl)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "is not a URL: write postgresql://"),
        (f"host=h password={SECRET}", "is not a URL: write postgresql://"),
        (f"mysql://u:{SECRET}@h/d", "not with mysql://: write postgresql://"),
        (f"postgresql+asyncpg://u:{SECRET}@h/d", r"no driver for postgresql\+asyncpg://: write postgresql://"),
        (f"postgresql+psycopg://u:{SECRET}@h/d", r"no driver for postgresql\+psycopg://: write postgresql://"),
        ("sqlite+aiosqlite:///file.db", r"no driver for sqlite\+aiosqlite://"),
        ("sqlite://", "needs a file: write sqlite:///file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite://folder/file.db", "needs a file"),
        (f"postgres://u:{SECRET}%zz@h/d", "cannot be read: percent-encode special characters, such as %40"),
        (f"postgres://u:{SECRET}@[::1/d", "cannot be read"),
        (f"postgres://u:{SECRET}@h/d?options=-ca=b", "%3D for = in a parameter's value"),
        (f"postgres://u:x@{SECRET}@h/d", "@ or / in the password must be written as %40 or %2F"),
        (f"postgres://u:x/{SECRET}@h/d", "@ or / in the password"),
        (f"postgres://u:x/?{SECRET}=1@h/d", "the port is not a number"),
        (f"postgres://u:{SECRET}@h:0x/d", "the port is not a number from 1 to 65535"),
        (f"postgres://u:{SECRET}@h:65536/d", "the port is not a number from 1 to 65535"),
        (f"postgres://u:{SECRET}@a:1,b:2,c/d?port=1,2", "one port for all hosts, or one for each"),
        (f"postgres://u:{SECRET}@h/d?schema=x", "knows no parameter schema"),
        (f"postgres://u:{SECRET}@h/d?host=a:1&host=b:2", "host is given twice"),
        (f"postgres://u:{SECRET}@h/d?sslmode=on", "sslmode is one of allow, disable, prefer, require, verify-ca"),
        (f"postgres://u:{SECRET}@h/d?target_session_attrs=rw", "target_session_attrs is one of any,"),
        (f"postgres://u:{SECRET}@h/d?connect_timeout=0", "connect_timeout is a number of seconds from 1"),
        (
            f"postgres://u:{SECRET}@h/d?sslmode=verify-ca&sslrootcert=/none.pem",
            "sslrootcert: there is no file /none.pem",
        ),
    ],
)
def test_what_cannot_be_used_is_named_without_the_password(url: str, reason: str) -> None:
    with pytest.raises(UnusableSetting, match=f"^WEBHOOKD_DATABASE_URL: .*{reason}") as raised:
        parse(url)
    assert raised.value.setting == "database_url"
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_file_that_exists_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "root.pem"
    file.touch()
    assert servers(f"postgres://h/d?sslrootcert={file}")[0]["sslrootcert"] == str(file)


def test_database_and_migrations_refuse_the_url_before_they_connect() -> None:
    with pytest.raises(UnusableSetting):
        Database("mysql://h/d")
    with pytest.raises(UnusableSetting):
        upgrade("mysql://h/d")
