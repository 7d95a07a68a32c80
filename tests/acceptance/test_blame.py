"""`/health` and `/ready` name the part that does not work, and no other, while processes of one service lack services.

Oracle: the API's answers. Real: every process, Redis and Postgres; a service is absent where nothing listens.
"""

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from stack.free_ports import free_ports
from tests.harness.command_process import CommandProcess
from tests.harness.databases import new_database
from tests.harness.pipeline import until

ABSENT = 9
"""A port on which nothing listens."""


@pytest.fixture(scope="module")
def api_url(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API of a service without Kafka, whose worker cannot read the database."""
    (port,) = free_ports(1)
    with ExitStack() as exits:
        database = exits.enter_context(new_database("postgres", tmp_path_factory.mktemp("blame"), tables=True))
        settings = {
            "WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{ABSENT}",
            "WEBHOOKD_REDIS_URL": redis_url,
            "WEBHOOKD_REDIS_KEY_PREFIX": f"test-{uuid.uuid4().hex}:",
            "WEBHOOKD_DATABASE_URL": database,
            "WEBHOOKD_API_AUTH": "none",
            "WEBHOOKD_API_BIND": f"127.0.0.1:{port}",
        }
        lost = {"WEBHOOKD_DATABASE_URL": f"postgresql+psycopg2://webhookd:pa55word@127.0.0.1:{ABSENT}/webhookd"}
        for name, more in {"api": {}, "ingest": {}, "worker": lost}.items():
            exits.enter_context(CommandProcess(name, environment={**settings, **more}))
        yield f"http://127.0.0.1:{port}"


def test_health_blames_kafka_and_the_workers_way_to_the_database(api_url: str) -> None:
    wanted = {"kafka_unavailable", "workers_lack_store"}
    until(lambda: codes(api_url) == wanted, "/health names both")
    health = read(f"{api_url}/health")
    assert "pa55word" not in json.dumps(health)


def test_ready_names_kafka_alone(api_url: str) -> None:
    until(lambda: bool(read(f"{api_url}/ready")), "the API answers")
    answer = read(f"{api_url}/ready")
    assert answer["checks"] == {"database": "ok", "queue": "ok", "kafka": "failed"}
    assert [*answer["details"]] == ["kafka"]
    assert answer["status"] == "failed"


def codes(api_url: str) -> set[str]:
    """The codes of the faults in /health."""
    return {fault["code"] for fault in read(f"{api_url}/health").get("faults", [])}


def read(url: str) -> dict[str, Any]:
    """The answer, whatever its status; empty while nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=10.0) as answer:  # noqa: S310 - the scheme is ours
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        with error:
            failed: dict[str, Any] = json.load(error)
            return failed
    except OSError:
        return {}
