"""The command `api-latency`: the latency of the API's lists and of a status, with many subscriptions on Postgres."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil
from statistics import median
from typing import Final

import click
import requests
from sqlalchemy import select

from api.server import THREADS, WORKERS
from stack.child import spawn
from stack.free_ports import free_ports
from stack.service_group import ServiceGroup
from stack.waiting import until_ready
from webhookd.store import migrating
from webhookd.store.database import Database
from webhookd.store.engines import Bounds
from webhookd.store.tables import SubscriptionRow
from webhookd_load_test import service_commands
from webhookd_load_test.benchmarks.rig.checking_receiver import ASK_TIMEOUT_S, START_TIMEOUT_S
from webhookd_load_test.benchmarks.rig.command_end import end_with
from webhookd_load_test.benchmarks.rig.log_folder import LOGS
from webhookd_load_test.benchmarks.rig.many_rows import fill
from webhookd_load_test.run_folder.units import MS_PER_S

GOAL_MS: Final = 50.0
"""The 99th percentile of a list and of a status."""

PAGE: Final = 100
FILLING = Bounds(statement_s=120.0, silence_s=120.0)

OVERVIEW: Final = "overview, 1,000"
"""Without a goal: its page is ten times as large."""

PATHS: Final = {
    "list": "/1/Subscription",
    "list of a tenant": "/1/Subscription?tenant=tenant-3",
    "list by name": "/1/Subscription?sort=name",
    "list by age, newest": "/1/Subscription?sort=-created_at",
    "list of a topic": "/1/Subscription?topic=orders-17",
    "list of a label": "/1/Subscription?label=team:team-3",
    "list, unhealthy": "/1/Subscription?status=unhealthy",
    "status": "/1/Subscription/{id}/Status",
    OVERVIEW: "/1/EventNotificationAdmin",
}


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of many calls."""

    p50: float
    p99: float

    @classmethod
    def of(cls, call: Callable[[], object], count: int) -> "Latency":
        """Measure a call so often, after a tenth as many that are not counted."""
        for _ in range(ceil(count / 10)):
            call()
        times = sorted(_elapsed_ms(call) for _ in range(count))
        return cls(median(times), times[ceil(0.99 * count) - 1])


@click.command()
@click.option("--subscriptions", type=click.IntRange(1), default=10_000, show_default=True)
@click.option(
    "--activity",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="Activity rows of each subscription.",
)
@click.option("--requests", type=click.IntRange(1), default=300, show_default=True, help="Requests of each kind.")
def api_latency(subscriptions: int, activity: int, requests: int) -> None:
    """Measure the latency of the API's lists and of a status, with many subscriptions on Postgres.

    It fills a database of its own (ten tenants; activity rows for each subscription), serves it by `webhookd api`, and
    sends one request at a time over one connection. Each row is compared with two others of the same run: a Flask route
    that does nothing, served by gunicorn in the same way, and a query that reads a page of rows by an index and renders
    nothing. The exit code is 1 when a goal is missed.
    """
    end_with(lambda: _measure(subscriptions, activity, requests))


def _measure(subscriptions: int, activity: int, count: int) -> int:
    with _served(subscriptions, activity) as (url, api, bare):
        rows = list(_measured(url, api, bare, count))
    _print(rows)
    missed = [name for name, latency in rows if name in PATHS and name != OVERVIEW and latency.p99 > GOAL_MS]
    if missed:
        click.echo(f"over {GOAL_MS:.0f} ms: {', '.join(missed)}", err=True)
    return 1 if missed else 0


@contextmanager
def _served(subscriptions: int, activity: int) -> Iterator[tuple[str, str, str]]:
    """The URLs of the filled database, of the API, and of the bare Flask route."""
    LOGS.mkdir(parents=True, exist_ok=True)
    api, bare, nobody = (f"127.0.0.1:{port}" for port in free_ports(3))
    with ExitStack() as undo:
        services = undo.enter_context(ServiceGroup())
        redis, postgres = services.start_redis(), services.start_postgres()
        services.wait_ready()
        url = postgres.create_database("bench_api")
        _fill(url, subscriptions, activity)
        environment = service_commands.environment(
            kafka=nobody, redis_url=redis.address, database_url=url, api_bind=api
        )
        gunicorn = ("-m", "gunicorn", "-k", "gthread", "-w", str(WORKERS), "--threads", str(THREADS), "-b", bare)
        bare_app = [sys.executable, *gunicorn, "webhookd_load_test.benchmarks.endpoints.bare_flask:app"]
        for name, start, address in (
            ("api", partial(service_commands.start, ["api"]), f"http://{api}/1/Subscription?limit=1"),
            ("bare", partial(spawn, bare_app), f"http://{bare}/"),
        ):
            child = start(log_file=LOGS / f"{name}.log", environment=environment)
            undo.callback(child.stop)
            until_ready(name, partial(_answers, address), [child], START_TIMEOUT_S)
        yield url, f"http://{api}", f"http://{bare}/"


def _fill(url: str, subscriptions: int, activity: int) -> None:
    migrating.upgrade(url)
    database = Database(url, bounds=FILLING)
    began = time.perf_counter()
    fill(database, subscriptions, activity)
    database.close()
    elapsed_s = time.perf_counter() - began
    click.echo(
        f"{subscriptions:,} subscriptions, {subscriptions * activity:,} activity rows, filled in {elapsed_s:.0f} s"
    )


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=ASK_TIMEOUT_S).ok
    except requests.ConnectionError:
        return False


def _measured(url: str, api: str, bare: str, count: int) -> Iterator[tuple[str, Latency]]:
    """Each row's name and latency; the two to compare with come first."""
    database = Database(url)
    with requests.Session() as session:
        ask = partial(_ask, session)
        yield "bare Flask route", Latency.of(partial(ask, bare), count)
        yield f"bare query, {PAGE} rows", Latency.of(partial(_query, database), count)
        id_ = ask(f"{api}{PATHS['list']}").json()[0]["id"]
        for name, path in PATHS.items():
            yield name, Latency.of(partial(ask, api + path.format(id=id_)), count)
    database.close()


def _ask(session: requests.Session, url: str) -> requests.Response:
    answer = session.get(url, timeout=ASK_TIMEOUT_S)
    answer.raise_for_status()
    return answer


def _query(database: Database) -> object:
    """Read a page of whole rows by the primary key."""
    query = select(*SubscriptionRow.__table__.columns).order_by(SubscriptionRow.id).limit(PAGE)
    with database.transaction() as session:
        return session.execute(query).all()


def _elapsed_ms(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return MS_PER_S * (time.perf_counter() - began)


def _print(rows: Sequence[tuple[str, Latency]]) -> None:
    (_, flask), (_, query) = rows[:2]
    click.echo(f"{'':24}{'p50 ms':>8}{'p99 ms':>8}{'× Flask':>9}{'× query':>9}")
    for name, latency in rows:
        click.echo(
            f"{name:24}{latency.p50:8.1f}{latency.p99:8.1f}{latency.p50 / flask.p50:9.1f}{latency.p50 / query.p50:9.1f}"
        )
