"""What tests with whole processes start: a service of their own. Those in shared_service/ use one service together."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from stack.pgbouncer import PgBouncer
from tests.harness.databases import new_database
from tests.harness.pipeline import Pipeline

QUICK = {"WEBHOOKD_RETRY_TIME_SCALE": "0.02"}
"""Retries wait a fiftieth of their normal time: 0.1 s before the first retry, 0.6 s before the first probe."""


class Starts(Protocol):
    """Starts a service of a test's own."""

    def __call__(self, pooler: PgBouncer | None = None, /, **settings: str) -> AbstractContextManager[Pipeline]:
        """Start it with these settings (environment variables) besides the usual ones; with a pooler, behind it."""


@pytest.fixture(scope="session")
def start_pipeline(kafka_bootstrap: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Starts:
    @contextmanager
    def start(pooler: PgBouncer | None = None, /, **settings: str) -> Iterator[Pipeline]:
        folder: Path = tmp_path_factory.mktemp("pipeline")
        with new_database("postgres", folder, tables=True) as url:
            database = pooler.through(url) if pooler is not None else url
            with Pipeline(
                folder, kafka=kafka_bootstrap, redis=redis_url, database=database, settings={**QUICK, **settings}
            ) as pipeline:
                yield pipeline

    return start
