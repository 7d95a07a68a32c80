"""With metrics the loop is observed and its sources are served; without them nothing is done."""

from pathlib import Path

import pytest

from tests.harness.metrics import exposed
from webhookd.metrics.catalogue.ingest import LOOP_ITERATION
from webhookd.metrics.exposition import Source
from webhookd.metrics.tally import Sample
from webhookd.settings import Settings
from webhookd.store.database import Database
from workers.ingest.metrics.loop_observer import NOT_OBSERVED
from workers.ingest.metrics.process_metrics import ProcessMetrics

COUNTERS = ("webhookd_commits_total", "webhookd_rebalances_total", "webhookd_mails_total")


class Served:
    """Keeps the sources."""

    def __init__(self) -> None:
        self.sources: list[Source] = []

    def add_source(self, source: Source) -> None:
        self.sources.append(source)


@pytest.fixture
def unreachable(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'no such folder' / 'x.db'}")


def settings(metrics_bind: str) -> Settings:
    return Settings(database_url="sqlite://", redis_url="memory://", metrics_bind=metrics_bind)


def test_sources_are_served_and_counters_begin_at_zero(unreachable: Database) -> None:
    with exposed() as (read, exposition):
        ProcessMetrics(settings("127.0.0.1:0"), unreachable).serve(exposition, lambda: [Sample(LOOP_ITERATION, (), 2)])
        scraped = read()
    assert scraped.value("webhookd_loop_longest_iteration_seconds") == 2
    assert scraped.value("webhookd_buffer_limit_bytes") == settings("").process_buffer_bytes
    for name in COUNTERS:
        assert {one.value for one in scraped.series(name)} == {0}


def test_without_metrics_nothing_is_observed_served_or_read(
    unreachable: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics, served = ProcessMetrics(settings(""), unreachable), Served()
    metrics.serve(served, list)
    metrics.refresh()
    assert metrics.observer is NOT_OBSERVED
    assert served.sources == []
    assert capsys.readouterr().out == ""
