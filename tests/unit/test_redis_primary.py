"""Which errors of Redis mean that another server is the primary, and which connections detect them."""

import pytest
from redis._parsers import BaseParser
from redis.exceptions import ResponseError

from webhookd.edges.redis_primary import (
    PrimaryConnection,
    PrimarySentinelConnection,
    PrimarySentinelSSLConnection,
    PrimarySocketConnection,
    PrimarySSLConnection,
    _PrimaryOnly,
    is_not_primary,
    primary_pool,
)
from webhookd.edges.redis_url import parse


def error(text: str) -> ResponseError:
    """The exception that redis-py raises for this reply."""
    parsed = BaseParser.parse_error(text)  # type: ignore[no-untyped-call]  # redis-py has no types here
    assert isinstance(parsed, ResponseError)
    return parsed


@pytest.mark.parametrize(
    "text",
    [
        "READONLY You can't write against a read only replica.",
        "READONLY You can't write against a read only replica. script: 601c, on @user_script:4.",
        "ERR Error running script (call to f_1): @user_script:4: @user_script: 4: -READONLY You can't write against a "
        "read only replica. ",
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "NOREPLICAS Not enough good replicas to write.",
        "CLUSTERDOWN The cluster is down",
    ],
)
def test_errors_of_a_replica_are_recognised(text: str) -> None:
    assert is_not_primary(error(text))


@pytest.mark.parametrize(
    "text",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "NOSCRIPT No matching script. Please use EVAL.",
        "EXECABORT Transaction discarded because of previous errors.",
        "ERR wrong number of arguments for 'set' command",
        "WRONGTYPE READONLY is only a word here",
    ],
)
def test_errors_of_a_primary_are_not_taken_for_a_replicas(text: str) -> None:
    assert not is_not_primary(error(text))


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://127.0.0.1/0", PrimaryConnection),
        ("rediss://127.0.0.1/0", PrimarySSLConnection),
        ("unix:///run/redis.sock", PrimarySocketConnection),
        ("sentinel://127.0.0.1/0?master=main", PrimarySentinelConnection),
        ("sentinel://127.0.0.1/0?master=main&ssl=true", PrimarySentinelSSLConnection),
    ],
)
def test_pool_uses_connections_that_detect_a_replica(url: str, kind: type) -> None:
    connection = primary_pool(parse(url), socket_keepalive=True).make_connection()
    assert (type(connection), isinstance(connection, _PrimaryOnly)) == (kind, True)
