"""With metrics the loop is observed and its sources are served; without them nothing is done."""

from pathlib import Path

import pytest

from tests.harness.metrics import exposed
from webhookd.metrics.catalogue.ingest import LOOP_ITERATION
from webhookd.metrics.samples import Sample
from webhookd.settings import Settings
from webhookd.store.database import Database
from workers.ingest.metrics.loop_observer import NOT_OBSERVED
from workers.ingest.metrics.process_metrics import ProcessMetrics

COUNTERS = ("webhookd_commits_total", "webhookd_rebalances_total", "webhookd_mails_total")


@pytest.fixture
def unreachable(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'no such folder' / 'x.db'}")


SETTINGS = Settings(database_url="sqlite://", redis_url="memory://")


def test_sources_are_served_and_counters_begin_at_zero(unreachable: Database) -> None:
    with exposed() as live:
        ProcessMetrics(SETTINGS, unreachable, live).serve(lambda: [Sample(LOOP_ITERATION, (), 2)])
        scraped = live.read()
    assert scraped.value("webhookd_loop_longest_iteration_seconds") == 2
    assert scraped.value("webhookd_buffer_limit_bytes") == SETTINGS.process_buffer_bytes
    for name in COUNTERS:
        assert {one.value for one in scraped.series(name)} == {0}


def test_without_metrics_nothing_is_observed_or_read(unreachable: Database, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = ProcessMetrics(SETTINGS, unreachable, None)
    metrics.serve(list)
    metrics.refresh()
    assert metrics.observer is NOT_OBSERVED
    assert capsys.readouterr().out == ""
