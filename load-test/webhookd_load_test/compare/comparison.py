"""Compares what was published with what every subscription got.

The files are read in their order, and nothing is kept of a record but a few bytes: see published_records.py and
subscription_check.py.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec
from jmespath.exceptions import JMESPathError

from webhookd_load_test.compare.bounds_setting import bounds_in
from webhookd_load_test.compare.deliveries import Requests, arriving, count_records
from webhookd_load_test.compare.filter_oracle import Filter, FilterOracle, Selection
from webhookd_load_test.compare.published_records import PublishedRecords, count_acknowledged, load, publish_result
from webhookd_load_test.compare.received_values import DifferingValues
from webhookd_load_test.compare.run_series import RunSeries
from webhookd_load_test.compare.sqlite_reader import check_published, check_received
from webhookd_load_test.compare.subscription_check import SubscriptionCheck
from webhookd_load_test.compare.unusable_folder import UnusableFolderError
from webhookd_load_test.compare.verdict import faults_of
from webhookd_load_test.run_folder import facts as run_facts
from webhookd_load_test.run_folder.bounds import Bounds
from webhookd_load_test.run_folder.facts import RunFacts, RunSubscription
from webhookd_load_test.run_folder.paths import RunFolder
from webhookd_load_test.run_folder.result import Result

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and of how much in all."""

_PROGRESS_EVERY = 5_000


def compare(folder: RunFolder, bounds: Bounds | None = None, progress: Progress = lambda *_: None) -> Result:
    """Compare the files of a run; without bounds those of its settings hold. Writes nothing.

    Blocks for about 20 s for each million records. Raises UnusableFolderError.
    """
    return _Comparison(folder, bounds, progress).result()


class _Comparison:
    def __init__(self, folder: RunFolder, bounds: Bounds | None, progress: Progress) -> None:
        self._folder, self._progress = folder, progress
        self._facts = _read_facts(folder.facts)
        self._bounds = bounds or bounds_in(self._facts.settings)
        self._received = _received(folder)
        check_published(folder.published)
        self._selections = _selections(self._facts.subscriptions)
        self._series = RunSeries(self._facts.began_ns)
        self._differing = DifferingValues()
        self._elsewhere = 0

    def result(self) -> Result:
        facts, folder = self._facts, self._folder
        published = self._load()
        requests = Requests()
        for file in self._received:
            requests.add(file, facts.began_ns)
        checks = self._check(published)
        self._differing.judge(folder.records)
        ended_ns = max(facts.ended_ns, self._series.last_ns)
        subscriptions = [check.result(folder.published, requests, ended_ns) for check in checks]
        last_ns = max((check.last_ns for check in checks), default=0)
        publish = publish_result(folder.published, len(published))
        faults = list(
            faults_of(
                subscriptions,
                facts,
                self._bounds,
                unacknowledged=publish.not_acknowledged,
                elsewhere=self._elsewhere,
                last_ns=last_ns,
            )
        )
        return Result(
            passed=not faults,
            faults=faults,
            publish=publish,
            subscriptions=subscriptions,
            latency=self._series.latency(),
            throughput_per_s=self._series.throughput_per_s(),
            seconds=self._series.seconds(published.per_second, requests.refused_per_second),
            partial=not facts.complete,
            latency_from_publish=self._series.latency_from_publish(),
            elsewhere=self._elsewhere,
        )

    def _load(self) -> PublishedRecords:
        total = count_acknowledged(self._folder.published)
        oracle = FilterOracle(list(self._selections.values()))
        return load(
            self._folder.records,
            self._folder.published,
            oracle,
            self._facts.began_ns,
            lambda done: self._progress("published records", done, total),
        )

    def _check(self, published: PublishedRecords) -> list[SubscriptionCheck]:
        timed = _timed(self._facts.subscriptions)
        checks = {
            one.path: SubscriptionCheck(
                one,
                self._selections[_selection(one)],
                published,
                self._differing,
                self._series,
                timed=one.path in timed,
            )
            for one in self._facts.subscriptions
        }
        topics = {topic for one in self._facts.subscriptions for topic in one.topics} | set(self._facts.partitions)
        total = count_records(self._received)
        for done, delivery in enumerate(arriving(self._received, self._folder.published)):
            if done % _PROGRESS_EVERY == 0:
                self._progress("deliveries", done, total)
            if delivery.number is None and delivery.topic not in topics:
                continue
            if (check := checks.get(delivery.path)) is not None:
                check.add(delivery)
            else:
                self._elsewhere += 1
        self._progress("deliveries", total, total)
        return list(checks.values())


def _timed(subscriptions: Sequence[RunSubscription]) -> set[str]:
    """The paths whose latency is that of the run: endpoints that do not fail on purpose; all if there are none."""
    return {one.path for one in subscriptions if not one.faulty} or {one.path for one in subscriptions}


_Selected: TypeAlias = tuple[frozenset[str], tuple[str, ...]]


def _selection(subscription: RunSubscription) -> _Selected:
    return frozenset(subscription.topics), tuple(subscription.filters)


def _selections(subscriptions: Sequence[RunSubscription]) -> dict[_Selected, Selection]:
    """What the subscriptions want, once for all that want the same."""
    paths: set[str] = set()
    for index, one in enumerate(subscriptions):
        field = f"run.json: subscriptions[{index}]"
        if one.path in paths:
            raise UnusableFolderError(f"{field}.path: {one.path} is that of another subscription")
        paths.add(one.path)
        for number, expression in enumerate(one.filters):
            _check_filter(f"{field}.filters[{number}]", expression)
    return {_selection(one): Selection(one.topics, one.filters) for one in subscriptions}


def _check_filter(field: str, expression: str) -> None:
    try:
        Filter(expression)
    except JMESPathError as error:
        raise UnusableFolderError(f"{field}: {str(error).splitlines()[0]}") from None


def _read_facts(file: Path) -> RunFacts:
    try:
        return run_facts.read(file)
    except OSError as error:
        raise UnusableFolderError(f"{file.name}: {error.strerror}") from None
    except msgspec.DecodeError as error:  # a ValidationError, which names the field, is one
        raise UnusableFolderError(f"{file.name}: {error}") from None


def _received(folder: RunFolder) -> list[Path]:
    """The receiver's files, checked. Raises UnusableFolderError."""
    try:
        files = folder.all_received()
    except ValueError:
        raise UnusableFolderError("received-*.sqlite: a name without a number") from None
    if not files:
        raise UnusableFolderError(f"{folder.received(0).name}: no such file")
    for file in files:
        check_received(file)
    return files
