"""Subscriptions that share two topics get what their filters keep, while endpoints fail and records are not JSON.

A short form of the scenarios in tests/chaos/test_shared_topic*.py. Oracles: the jmespath library, Kafka's
acknowledgements, the receivers, the dead letters. Real: all processes and services.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.chaos.environment import Site
from tests.chaos.report import Report
from tests.chaos.rounds import run_planned
from tests.chaos.scenario import Scenario
from tests.chaos.shared_records import UNDECODABLE_EVERY
from tests.chaos.shared_topics import (
    ALL,
    ALL_OF_FIRST,
    SETTINGS,
    TENANTS,
    WITHOUT_INDEX,
    SharedTopics,
    flapping,
    together,
)
from tests.harness.databases import new_database

KINDS = (ALL, ALL_OF_FIRST, *TENANTS[:2], *WITHOUT_INDEX[1:])
FAILS_S = (1.0, 2.0)


@pytest.fixture
def site(kafka_bootstrap: str, redis_url: str, tmp_path: Path) -> Iterator[Site]:
    with new_database("postgres", tmp_path, tables=True) as database:
        made = Site(tmp_path, lambda: database, bootstrap=kafka_bootstrap, redis_url=redis_url)
        with closing(made):
            made.ensure_running(**SETTINGS)
            yield made


def test_each_subscription_gets_what_its_filters_keep(site: Site, request: pytest.FixtureRequest) -> None:
    report = Report(request.config.getoption("--seed"))
    try:
        with Scenario("shared topics", site, report, topics=2) as scenario:
            shared = SharedTopics(scenario, KINDS)
            shared.load(undecodable_every=UNDECODABLE_EVERY)
            some = scenario.chance.sample(scenario.watched, 3)
            run_planned(scenario, flapping(scenario.chance, some, FAILS_S, most=1), together())
            shared.assert_dead_letters()
    finally:
        print(report.text())  # noqa: T201  # with the seed, which repeats a failure
