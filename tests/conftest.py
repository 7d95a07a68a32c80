"""What every test stands on: a wiped environment, markers by what a test asks for, and the real services."""

import gc
import os
import random
import signal
from collections.abc import Iterator

import pytest
import structlog

from stack import free_ports
from stack.errors import NotStarted
from stack.pgbouncer import PgBouncer
from stack.service_group import ServiceGroup
from tests.harness.file_order import FileScheduling, in_running_order
from tests.harness.measured_coverage import unmeasured, unmeasured_collection
from tests.harness.metrics import LiveMetrics, exposed
from tests.harness.services import SERVICES, missing_service, required_service

FIXTURE_OF_SERVICE = {"kafka": "kafka_bootstrap", "redis": "redis_url", "postgres": "postgres_url"}


LONG = {"chaos": "--chaos", "soak": "--soak"}
"""Markers of tests that take minutes, and the option that asks for them."""


NOT_MEASURED = (
    "tests/acceptance/",  # what they test runs in other processes
    "tests/chaos/",
    "tests/closure/",  # they read files
    # What the other tests of the same folder or a unit test run as well:
    "tests/contract/http_client/test_exchange_chaos.py",
    "tests/contract/store/test_filled_migrations.py",
    "tests/contract/store/test_list_plans.py",
    "tests/contract/store/test_migration_locks.py",
    "tests/contract/store/test_migrations.py",
    "tests/contract/store/test_way_back_of_consent.py",
    "tests/integration/api/test_bad_input.py",
    "tests/integration/api/test_bad_values.py",
    "tests/integration/api/test_every_operation.py",
    "tests/integration/api/test_fuzzing.py",
    "tests/integration/api/test_mutated_documents.py",
    "tests/integration/api/test_subscription_lists.py",
    "tests/unit/api/test_description.py",
    "tests/unit/authorization/test_decision_table.py",
    "tests/unit/authorization/test_exactness.py",
    "tests/unit/filters/test_budget.py",
    "tests/unit/filters/test_differential.py",
    "tests/unit/filters/test_large_records.py",
    "tests/unit/flow/test_shared_threads.py",
    "tests/unit/flow/test_simulation.py",
    "tests/unit/test_odd_responses.py",
)
"""Tests whose coverage is not measured: Python runs half as fast while it is, and other tests run the same lines."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make chaos`, `make chaos-soak`, `make fuzz` and `make fuzz-responses` ask for."""
    parser.addoption("--chaos", action="store_true", help="run the scenarios of tests/chaos on a stack of their own")
    parser.addoption("--soak", type=int, default=0, metavar="SECONDS", help="mix all faults for so long")
    parser.addoption(
        "--fuzz", type=int, default=0, metavar="SECONDS", help="send generated requests or responses so long"
    )
    parser.addoption("--seed", type=int, default=random.SystemRandom().randrange(1_000_000), help="of the scenarios")


def pytest_configure() -> None:
    """Forget the developer's settings, use ports of one's own, and end in order (fixtures torn down) when told to."""
    for name in [name for name in os.environ if name.startswith("WEBHOOKD_")]:
        if not name.startswith("WEBHOOKD_TEST_"):
            del os.environ[name]
    if "PYTEST_XDIST_WORKER" in os.environ:  # gw0, gw1, …
        number, count = os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"), os.environ["PYTEST_XDIST_WORKER_COUNT"]
        os.environ[free_ports.RANGE_VARIABLE] = free_ports.share(int(number), int(count))
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Collect without garbage collection, and keep what was collected out of it: it is used up to the end.

    Else each full collection walks over a million objects, while the tests are imported and while they run.
    """
    if session.config.pluginmanager.hasplugin("dsession"):  # the process that distributes tests collects none itself
        return (yield)
    gc.disable()
    try:
        with unmeasured_collection():
            return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes, and mark each test with the services it asks for: `-m 'not kafka'` then works.

    Files that wait run beside files that compute.
    """
    left_out = {marker for marker, option in LONG.items() if not config.getoption(option)}
    dropped = [item for item in items if any(item.get_closest_marker(marker) for marker in left_out)]
    items[:] = [item for item in items if item not in dropped]
    config.hook.pytest_deselected(items=dropped)
    for item in items:
        for service in SERVICES:
            if FIXTURE_OF_SERVICE[service] in getattr(item, "fixturenames", ()):
                item.add_marker(service)
    items[:] = in_running_order(items)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run some tests without measuring their coverage; nor is that of the fixtures that begin or end with them."""
    if item.nodeid.startswith(NOT_MEASURED):
        with unmeasured():
            return (yield)
    return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FileScheduling | None:
    """What `--dist loadfile` does, but for folders whose files run in one process."""
    return FileScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(autouse=True, scope="session")
def _loggers_look_the_configuration_up() -> Iterator[None]:
    """A process of the service configures its logs once. Here one test must not bind the loggers of those behind it."""
    configure = structlog.configure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", lambda **given: configure(**given | {"cache_logger_on_first_use": False}))
        yield


@pytest.fixture(autouse=True)
def _logs_are_not_configured() -> Iterator[None]:
    """Take back what a command that ran in this process has configured: its level would hide lines."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def live_metrics() -> Iterator[LiveMetrics]:
    """The metrics that this test's own code counts, from now on."""
    with exposed() as live:
        yield live


@pytest.fixture(scope="session")
def kafka_bootstrap() -> str:
    """Bootstrap servers of a real Kafka."""
    return required_service("kafka")


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The URL of a real Redis."""
    return required_service("redis")


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """The SQLAlchemy URL of a real Postgres' superuser, in a database that no test may write to."""
    return required_service("postgres")


@pytest.fixture(scope="session")
def pgbouncer(postgres_url: str) -> Iterator[PgBouncer]:
    """A PgBouncer in transaction mode in front of the real Postgres."""
    with ServiceGroup() as services:
        try:
            started = services.start_pgbouncer(postgres_url)
            started.wait_ready()
        except NotStarted as reason:
            missing_service(f"no pgbouncer: {reason}")
        yield started
