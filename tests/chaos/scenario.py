"""A scenario: subscriptions under load, faults, and the checks of what arrived."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Self

from tests.chaos.environment import Site
from tests.chaos.faults import Fault
from tests.chaos.findings import SLACK_S, Cost, FaultWindow, Finding, Watched, find
from tests.chaos.report import Report, Row
from tests.harness.checking_receiver import CheckingReceiver, Judge, LaneKey, accept
from tests.harness.commit_watch import CommitWatch
from tests.harness.load import SPARSE_EVERY, Load, Sent, Values, numbered
from tests.harness.pipeline import subscription_body

PARTITIONS = 4
PER_S = 200.0
CATCH_UP_S = 60.0
"""A slow machine delivers the backlog of an outage in this time."""

COMMITTED_WITHIN_S = 20.0
CONNECTED_S = 60.0


def everything(_number: int) -> bool:
    """No filter."""
    return True


def half(number: int) -> bool:
    """What the filter `half` keeps."""
    return number % 2 == 0


def sparse(number: int) -> bool:
    """What the filter `sparse` keeps."""
    return number % SPARSE_EVERY == 0


class Scenario:
    """A context: on exit the load ends, all records are awaited and checked, and the report gets a row."""

    def __init__(self, name: str, site: Site, report: Report, *, topics: int = 1) -> None:
        self.name = name
        self.site = site
        self.chance = random.Random(f"{report.seed}/{name}")  # noqa: S311  # seeded on purpose
        self.watched: list[Watched] = []
        self.watches: list[CommitWatch] = []
        self.loads: list[Load] = []
        self.windows: list[FaultWindow] = []
        self.rows_by_label = False
        self.topics: list[str] = []
        self._topic_count = topics
        self._flowed_at = 0.0
        self._at_end: list[Callable[[], object]] = []
        self._report = report
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        """Create topics of its own."""
        self.site.restarts.clear()
        self.topics += [self.site.pipeline.topic(PARTITIONS) for _ in range(self._topic_count)]
        return self

    @property
    def topic(self) -> str:
        """Its only topic, or the first one."""
        return self.topics[0]

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        """Check the results, also when the scenario failed before."""
        with self._exits:
            try:
                problems = self._finish() if kind is None else [f"{type(error).__name__}: {error}"]
            finally:
                for load in self.loads:
                    load.stop()
                for watch in self.watches:
                    watch.stop()
            problems += self._report_findings(problems)
            self._unsubscribe(problems)
        if kind is None and problems:
            raise AssertionError("\n".join(problems))

    def at_end(self, action: Callable[[], object]) -> None:
        """Do this when the scenario ends and its subscriptions are deleted, unless it has failed."""
        self._at_end.append(action)

    def receiver(self, judge: Judge = accept) -> CheckingReceiver:
        """Start a receiver, which is closed with the scenario."""
        return self._exits.enter_context(CheckingReceiver(judge))

    def subscribe(
        self,
        label: str,
        *,
        topics: Sequence[str] = (),
        filters: Sequence[str] = (),
        wants: Callable[[int], bool] = everything,
        size: int = 1,
        judge: Judge = accept,
        **changes: object,
    ) -> Watched:
        """Register a subscription to these topics, or to the only one, with a receiver of its own."""
        receiver, topics = self.receiver(judge), topics or [self.topic]
        body = subscription_body(receiver.url, topics[0], "earliest", filters=list(filters), size=size, **changes)
        body["source"] = [body["source"][0] | {"topic": topic} for topic in topics]
        id_ = str(self.site.pipeline.ask("POST", "/1/Subscription", body)["id"])
        watch = CommitWatch(self.site.bootstrap, f"webhooks-{id_}", dict.fromkeys(topics, PARTITIONS))
        watch.start()
        self.watches.append(watch)
        watched = Watched(
            label=label,
            id=id_,
            receivers=[receiver],
            wants=wants,
            commits=watch.history,
            topics=topics,
            batching_wait_s=1.0 if size > 1 else 0.0,
        )
        self.watched.append(watched)
        return watched

    def change(self, watched: Watched, *, url: str = "", **changes: object) -> None:
        """Change a subscription over the API."""
        url = url or watched.receivers[-1].url
        body = subscription_body(url, self.topic, "earliest", **changes)
        self.site.pipeline.ask("PUT", f"/1/Subscription/{watched.id}", body)

    def delete(self, watched: Watched) -> None:
        """Delete a subscription; no more records need to arrive."""
        watched.deleted = True
        self.watches[self.watched.index(watched)].stop()
        self.site.pipeline.ask("DELETE", f"/1/Subscription/{watched.id}")

    def subscribe_three(self) -> list[Watched]:
        """Register three kinds: every record alone, batches of what a filter keeps, and one that gets few records."""
        return [
            self.subscribe("each"),
            self.subscribe("batches of 50", filters=["half"], wants=half, size=50),
            self.subscribe("sparse", filters=["sparse"], wants=sparse),
        ]

    def load(
        self,
        per_s: float = PER_S,
        *,
        topic: str = "",
        values: Values = numbered,
        incarnation: int = 1,
        wait: bool = True,
    ) -> Load:
        """Start a load; waits until every subscription has received records, and some seconds more."""
        load = Load(
            self.site.bootstrap,
            topic or self.topic,
            per_s=per_s,
            partitions=PARTITIONS,
            seed=self.load_seed,
            incarnation=incarnation,
            values=values,
        )
        self.begin(load)
        if wait:
            self.wait_flowing()
        return load

    @property
    def load_seed(self) -> str:
        """The seed of the next load."""
        return f"{self._report.seed}/{self.name}/{len(self.loads)}"

    def begin(self, load: Load) -> None:
        """Start a load, which ends with the scenario."""
        self.loads.append(load)
        load.start()

    def wait_flowing(self) -> None:
        """Wait until every subscription has received records, and some seconds more."""
        connected = self.site.wait_until(lambda: all(w.receivers[0].count for w in self.watched), CONNECTED_S)
        assert connected, "nothing arrives before any fault"
        self._flowed_at = time.monotonic()
        self.site.run_for(self.chance.uniform(2.0, 3.0))

    def inject(self, fault: Fault) -> FaultWindow:
        """Inject a fault under load, and wait until the service has recovered."""
        with self.fault_window(fault.cost) as window:
            fault.begin(self.site, self.chance)
            try:
                self.site.run_for(self.chance.uniform(*fault.lasts_s))
            finally:
                fault.end(self.site, self.chance)
        return window

    @contextmanager
    def fault_window(self, cost: Cost) -> Iterator[FaultWindow]:
        """The body is a fault with this cost; on exit it waits until the service has recovered."""
        window = FaultWindow(cost=cost, began_at=time.monotonic())
        self.windows.append(window)
        yield window
        window.ended_at = time.monotonic()
        self.recover(window)

    def recover(self, window: FaultWindow) -> None:
        """Wait until records that were produced after the fault have arrived at all subscriptions."""
        self.site.run_for(1.0)
        fresh = {n: s for n, s in self.sent().items() if s.at > window.ended_at}
        flows = self.site.wait_until(lambda: self.missing(fresh) == 0, window.cost.recovery_s + SLACK_S + CATCH_UP_S)
        window.until_at = time.monotonic()
        assert flows, f"{self.missing(fresh)} records from after the fault do not arrive"
        self.site.run_for(self.chance.uniform(1.0, 2.0))

    def note(self, text: str) -> None:
        """Add a note to the report, with the time since the load began, and print it at once."""
        line = f"{self.name} {time.monotonic() - self.loads[0].began_at:7.1f} s  {text}"
        self._report.notes.append(line)
        print(line, flush=True)  # noqa: T201 - progress of a soak of ten minutes

    def sent(self) -> dict[int, Sent]:
        """All records that Kafka has acknowledged so far."""
        return {number: record for load in self.loads for number, record in load.sent.copy().items()}

    def missing(self, sent: Mapping[int, Sent]) -> int:
        """How many of these records have not arrived at the subscriptions that should get them."""
        return sum(watched.missing_count(set(watched.wanted(sent))) for watched in self.watched if not watched.deleted)

    def _finish(self) -> list[str]:
        """End the load, and wait for the remaining records and for the commits."""
        for load in self.loads:
            load.stop()
        sent = self.sent()
        self.site.wait_until(lambda: self.missing(sent) == 0, CATCH_UP_S)
        return [] if self.site.wait_until(self._all_committed, COMMITTED_WITHIN_S) else [self._uncommitted()]

    def _all_committed(self) -> bool:
        return not self._uncommitted()

    def _uncommitted(self) -> str:
        """A description of the groups that have not committed the end offsets; empty when all have."""
        wrong = []
        ends = {topic: self.site.pipeline.ends(topic) for topic in self.topics}
        for watched in [watched for watched in self.watched if not watched.deleted]:
            found = watched.commits.now()
            for topic in watched.topics:
                last = watched.commits.incarnations[topic]
                now = {number: found.get(LaneKey(topic, last, number), 0) for number in ends[topic]}
                if now != ends[topic]:
                    wrong.append(f"{watched.label}: committed {now} of {topic}, the ends are {ends[topic]}")
        return "; ".join(wrong)

    def _report_findings(self, problems: Sequence[str]) -> list[str]:
        """Add the findings to the report; returns descriptions of all problems."""
        sent = self.sent()
        findings = [find(watched, sent, self.windows, self._flowed_at) for watched in self.watched]
        if self.rows_by_label:
            for finding in findings:
                self._report.rows.append(_row(f"{self.name}: {finding.label}", [finding], problems))
        elif findings:
            self._report.rows.append(_row(self.name, findings, problems))
        stuck = self.site.pipeline.take_stuck_iterations()
        if self.site.restarts:
            self._report.notes.append(f"{self.name}: ended by itself and was started again: {self.site.restarts}")
        return [f"{finding.label}: {problem}" for finding in findings for problem in finding.problems] + stuck

    def _unsubscribe(self, problems: Sequence[str]) -> None:
        """Delete the subscriptions; after a problem stop the service, so that it is not used again."""
        if problems:
            self.site.close()
            return
        for watched in [watched for watched in self.watched if not watched.deleted]:
            self.site.pipeline.ask("DELETE", f"/1/Subscription/{watched.id}")
        for action in self._at_end:
            action()


def _row(name: str, findings: Sequence[Finding], problems: Sequence[str]) -> Row:
    worst = max(findings, key=lambda finding: finding.stall_s - finding.stall_bound_s)
    return Row(
        scenario=name,
        records=sum(finding.records for finding in findings),
        lost=sum(finding.lost for finding in findings),
        duplicates=sum(finding.duplicates for finding in findings),
        duplicate_bound=sum(finding.duplicate_bound for finding in findings),
        stall_s=worst.stall_s,
        stall_bound_s=worst.stall_bound_s,
        result="FAILED" if problems or any(finding.problems for finding in findings) else "passed",
    )
