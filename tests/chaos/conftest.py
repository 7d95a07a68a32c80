"""The stack that all scenarios share, and the report with the seed."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from stack.errors import NotStarted
from stack.kafka import KafkaOptions
from stack.service_group import ServiceGroup
from tests.chaos.environment import Site
from tests.chaos.report import Report
from tests.harness.databases import new_database

BROKERS = {
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.session.timeout.ms": "10000",
    "group.consumer.min.heartbeat.interval.ms": "1000",
    "group.consumer.heartbeat.interval.ms": "2000",
}
"""The consumer protocol's default session timeout is 45 s; here it is as short as the classic protocol's."""

REPORT = pytest.StashKey[Report]()


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    """The report to which scenarios add their rows; it has the seed."""
    made = Report(request.config.getoption("--seed"))
    request.config.stash[REPORT] = made
    return made


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site: with --chaos or --soak on a stack of its own, else on the tests' stack with a Redis of its own."""
    with ExitStack() as exits:
        session = exits.enter_context(ServiceGroup())
        try:
            owned = request.config.getoption("--chaos") or request.config.getoption("--soak")
            made = (_own if owned else _borrowed)(session, exits, tmp_path_factory, request)
        except NotStarted as reason:
            pytest.fail(str(reason), pytrace=False)
        exits.callback(made.close)
        yield made


def _own(
    session: ServiceGroup,
    _exits: ExitStack,
    folders: pytest.TempPathFactory,
    _request: pytest.FixtureRequest,
) -> Site:
    kafka = session.start_kafka(KafkaOptions(brokers=3, settings=BROKERS))
    redis = session.start_redis()
    postgres = session.start_postgres()
    session.wait_ready()
    return Site(
        folders.mktemp("chaos"),
        lambda: postgres.create_database(f"chaos_{uuid.uuid4().hex[:8]}"),
        bootstrap=kafka.address,
        redis=redis,
        kafka=kafka,
        postgres=postgres,
    )


def _borrowed(
    session: ServiceGroup,
    exits: ExitStack,
    folders: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Site:
    bootstrap: str = request.getfixturevalue("kafka_bootstrap")
    redis = session.start_redis()
    session.wait_ready()
    folder = folders.mktemp("chaos")
    return Site(
        folder,
        lambda: exits.enter_context(new_database("postgres", folder)),
        bootstrap=bootstrap,
        redis=redis,
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table and write it to a file."""
    report = config.stash.get(REPORT, None)
    if report is None or not report.rows:
        return
    name = "soak" if config.getoption("--soak") else "chaos" if config.getoption("--chaos") else "quick"
    terminalreporter.section("chaos")
    terminalreporter.write_line(report.text())
    terminalreporter.write_line(f"also in {report.write(name)}")
