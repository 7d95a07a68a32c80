"""The row `hang`: how much a hundred subscriptions whose endpoints hang delay ten healthy ones.

A run of `hang`: 110 subscriptions with a topic each, one ingest process, a worker for first attempts and one for
retries. All endpoints answer; then a hundred of them hang until the deadline (5 s here) on every request; then they
answer again.

    window            the hundred                                     required of the ten
    all answer        answer                                          their p99 is the reference
    first attempts    hang: each lane's first request of the outage   p99 ≤ 1.2 times the reference
    retries           hang: on the queue for retries                  p99 ≤ 1.2 times the reference

Each retry that is due after the hundred have recovered must start within 2 s of its time. The results are medians over
the runs.
"""

import json
import statistics
import time
from dataclasses import dataclass
from datetime import datetime

import click

from webhookd_load_test.benchmarks.endpoints.switchable_receiver import SwitchableReceiver
from webhookd_load_test.benchmarks.isolation_rows.healthy_p99 import MAX_RATIO, healthy_p99_ms
from webhookd_load_test.benchmarks.kafka.trickle import Trickle
from webhookd_load_test.benchmarks.rig.log_folder import LOGS
from webhookd_load_test.benchmarks.rig.rig import Rig

HEALTHY, SWITCHABLE = 10, 100
HEALTHY_PER_S, SWITCHABLE_PER_S = 10.0, 0.5
"""Records a second to each topic of the two kinds."""

DEADLINE_S = 5.0
SETTLE_S, WINDOW_S = 15.0, 20.0
RECOVERY_S = 60.0
MAX_LATENESS_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The p99 of each window in milliseconds, and the delay of retries in seconds."""

    answering_ms: float
    first_ms: float
    retries_ms: float
    late_s: float
    retries: int


class Isolation:
    """The subscriptions and topics of one run."""

    def __init__(self, rig: Rig, receiver: SwitchableReceiver, number: int) -> None:
        self._rig = rig
        self._receiver = receiver
        self.healthy = {f"healthy-{number}-{n}": 1 for n in range(HEALTHY)}
        self.switchable = {f"switchable-{number}-{n}": 1 for n in range(SWITCHABLE)}
        rig.create_topics({**self.healthy, **self.switchable})
        self._paths: dict[str, str] = {}
        for topic in [*self.healthy, *self.switchable]:
            path = topic.partition("-")[0] + "/" + topic
            self._paths[rig.subscribe(receiver.url(path), topic, start="latest")] = "/" + path

    def run(self) -> Run:
        """Measure, then delete the subscriptions."""
        address = self._rig.kafka.address
        with (
            Trickle(address, self.healthy, HEALTHY_PER_S * HEALTHY),
            Trickle(address, self.switchable, SWITCHABLE_PER_S * SWITCHABLE),
        ):
            time.sleep(SETTLE_S)
            answering_ms = healthy_p99_ms(self._receiver, "all answer", WINDOW_S)
            self._receiver.hanging = True
            first_ms = healthy_p99_ms(self._receiver, "first attempts", DEADLINE_S)
            retries_ms = healthy_p99_ms(self._receiver, "retries", WINDOW_S)
            self._receiver.hanging = False
            recovered_at = time.time()
            time.sleep(RECOVERY_S)
        late_s = self._lateness(recovered_at)
        for id_ in self._paths:
            self._rig.unsubscribe(id_)
        return Run(
            answering_ms=answering_ms,
            first_ms=first_ms,
            retries_ms=retries_ms,
            late_s=max(late_s, default=0.0),
            retries=len(late_s),
        )

    def _lateness(self, recovered_at: float) -> list[float]:
        """For each retry that was due after the recovery: how much later the request arrived, in seconds."""
        offset = time.time() - time.monotonic()
        found = []
        for failed in _failures():
            due = failed.at + failed.retry_in_s
            path = self._paths.get(failed.subscription)
            if path is None or not recovered_at < due < recovered_at + RECOVERY_S - MAX_LATENESS_S:
                continue
            later = [at + offset for at in self._receiver.arrivals[path] if at + offset > failed.at]
            found.append(min(later, default=due + RECOVERY_S) - due)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A failed attempt as its worker logged it; wall time."""

    subscription: str
    at: float
    retry_in_s: float


def _failures() -> list[Failed]:
    lines = [
        line for log in ("worker-first", "worker-retry") for line in (LOGS / f"{log}.log").read_text().splitlines()
    ]
    events = [json.loads(line) for line in lines if '"event":"attempt_failed"' in line]
    return [
        Failed(
            subscription=event["subscription"],
            at=datetime.fromisoformat(event["timestamp"]).timestamp(),
            retry_in_s=event["retry_in_s"],
        )
        for event in events
        if event["retry_in_s"] is not None
    ]


def hang(rig: Rig, receiver: SwitchableReceiver, count: int) -> bool:
    """Measure the row so many times, and print each run and the medians; returns whether it held."""
    runs = []
    for number in range(count):
        runs.append(Isolation(rig, receiver, number).run())
        click.echo(_row(str(number + 1), runs[-1]))
    return _report(runs)


def _row(name: str, run: Run) -> str:
    first, retries = run.first_ms / run.answering_ms, run.retries_ms / run.answering_ms
    return (
        f"| {name} | {run.answering_ms:.1f} ms | {run.first_ms:.1f} ms ({first:.2f}) "
        f"| {run.retries_ms:.1f} ms ({retries:.2f}) | {run.late_s:.2f} s of {run.retries} |"
    )


def _report(runs: list[Run]) -> bool:
    median = Run(
        answering_ms=statistics.median(run.answering_ms for run in runs),
        first_ms=statistics.median(run.first_ms for run in runs),
        retries_ms=statistics.median(run.retries_ms for run in runs),
        late_s=statistics.median(run.late_s for run in runs),
        retries=sum(run.retries for run in runs),
    )
    click.echo(_row("median", median))
    first = statistics.median(run.first_ms / run.answering_ms for run in runs)
    retries = statistics.median(run.retries_ms / run.answering_ms for run in runs)
    held = max(first, retries) <= MAX_RATIO and median.late_s <= MAX_LATENESS_S and median.retries > 0
    ratios = f"first attempts {first:.2f}, retries {retries:.2f} (at most {MAX_RATIO})"
    click.echo(f"ratios: {ratios}: {'held' if held else 'MISSED'}")
    return held
