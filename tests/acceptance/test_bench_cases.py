"""The benchmark's cases in their short form: each delivers all of its records, once and in order.

Oracles: the benchmark's checking receiver, in a process of its own, and the exit code. No figure is asserted. There
are no fakes: real Kafka, Redis, Postgres, nginx for TLS, and the real processes.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack import install
from stack.errors import NotStarted

PATIENCE_S = 600.0


@pytest.fixture
def nginx() -> Path:
    try:
        return install.require(install.NGINX)
    except NotStarted as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))


@pytest.mark.usefixtures("nginx")
def test_every_case_of_the_benchmark_delivers_in_order(kafka_bootstrap: str, redis_url: str, postgres_url: str) -> None:
    addresses = {
        "WEBHOOKD_TEST_KAFKA": kafka_bootstrap,
        "WEBHOOKD_TEST_REDIS": redis_url,
        "WEBHOOKD_TEST_POSTGRES": postgres_url,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "webhookd_load_test.main", "bench", "--short"],
        env={**os.environ, **addresses},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    failed = [line for line in ended.stdout.splitlines() if "FAILED" in line]
    assert failed == []
    assert ended.returncode == 0, ended.stderr
