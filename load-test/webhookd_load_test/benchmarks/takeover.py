"""The command `takeover`: how long a subscription stalls when its ingest process starts, stops or is killed.

The default of WEBHOOKD_KAFKA_GROUP_PROTOCOL was chosen by it.
"""

import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import click

from stack.child import Child
from stack.kafka import KafkaOptions
from webhookd_load_test.benchmarks.kafka.trickle import Trickle
from webhookd_load_test.benchmarks.rig.checking_receiver import CheckingReceiver
from webhookd_load_test.benchmarks.rig.command_end import end_with
from webhookd_load_test.benchmarks.rig.log_folder import LOGS
from webhookd_load_test.benchmarks.rig.rig import GROUPS_WAIT, Rig
from webhookd_load_test.process_usage import wait_until

TOPIC, PARTITIONS, PER_S = "takeover", 4, 20.0
ASSIGNED = '"event":"partitions_assigned"'
POLL_INTERVAL_S = 0.02
QUIET_S = 3.0
"""When records have arrived steadily for this time the event is over."""
TIMEOUT_S = 120.0
PROTOCOLS = ("consumer", "classic")
BROKER = KafkaOptions(heap_mb=512, warmed_up=True, settings=GROUPS_WAIT)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
def takeover(rounds: int) -> None:
    """Measure how long a subscription stalls when its ingest process starts, stops or is killed.

    It is measured with each group protocol: two ingest processes, one subscription of four partitions with a trickle of
    20 records a second, and a broker with Kafka's own defaults (a delay of 3 s before a classic group's first
    rebalance, a session timeout of 45 s with the consumer protocol). A stall is the longest time between two arrivals
    at the receiver around the event; the result is the median over the rounds.
    """
    end_with(lambda: _measure(rounds))


@dataclass(slots=True)
class Arrivals:
    """Polls a receiver's count of records; the stall is the longest time without a new record."""

    receiver: CheckingReceiver

    def stall_s(self, event: Callable[[], None]) -> float:
        """Trigger the event and wait until records arrive steadily again; returns the longest gap."""
        event()
        last, last_at, longest, steady_since = self._count(), time.monotonic(), 0.0, time.monotonic()
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() - steady_since < QUIET_S or longest == 0.0:
            if time.monotonic() > deadline:
                raise TimeoutError("no more records arrive")
            time.sleep(POLL_INTERVAL_S)
            now, count = time.monotonic(), self._count()
            if count > last:
                if now - last_at > 1.0:
                    steady_since = now
                longest, last, last_at = max(longest, now - last_at), count, now
            elif now - last_at > 1.0:
                steady_since = now
        return longest

    def _count(self) -> int:
        return self.receiver.report().records


class Ingests:
    """Two ingest processes, one of which reads the subscription."""

    def __init__(self, rig: Rig, protocol: str) -> None:
        self._rig = rig
        self._protocol = protocol
        self._number = 0
        self._running: dict[str, Child] = {}
        for _ in range(2):
            self.start()

    def start(self) -> None:
        """Start another process."""
        self._number += 1
        name = f"ingest-{self._protocol}-{self._number}"
        self._running[name] = self._rig.command("ingest", log=name)

    def end_owner(self, number: signal.Signals) -> None:
        """Send a signal to the process that reads the subscription, and start another one."""
        name = next(name for name in self._running if self._reads(name))
        self._running.pop(name).send(number)
        self.start()

    def wait_started(self) -> None:
        """Wait until both run and have found each other."""
        if not wait_until(lambda: all(self._knows_two(name) for name in self._running), TIMEOUT_S):
            raise TimeoutError("the ingest processes do not find each other")

    def wait_shared(self) -> None:
        """Wait until both run and one of them reads."""
        self.wait_started()
        if not wait_until(lambda: any(self._reads(name) for name in self._running), TIMEOUT_S):
            raise TimeoutError("no process reads the subscription")

    def stop(self) -> None:
        """Stop all processes."""
        for child in self._running.values():
            child.stop()

    @staticmethod
    def _knows_two(name: str) -> bool:
        lines = (LOGS / f"{name}.log").read_text().splitlines()
        events = [line for line in lines if '"event":"worker_threads"' in line]
        return bool(events) and '"ingests":2' in events[-1]

    @staticmethod
    def _reads(name: str) -> bool:
        lines = (LOGS / f"{name}.log").read_text().splitlines()
        events = [line for line in lines if ASSIGNED in line or '"event":"subscription_stopped"' in line]
        return bool(events) and ASSIGNED in events[-1]


@contextmanager
def ingests(rig: Rig, protocol: str) -> Iterator[Ingests]:
    """Run two ingest processes, and stop them at the end."""
    running = Ingests(rig, protocol)
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def _worker(rig: Rig) -> Iterator[None]:
    worker = rig.command("worker", log="worker")
    try:
        yield
    finally:
        worker.stop()


def measure(rig: Rig, protocol: str, rounds: int) -> dict[str, list[float]]:
    """The stalls of each event, one per round."""
    rig.environment = {**rig.environment, "WEBHOOKD_KAFKA_GROUP_PROTOCOL": protocol}
    topic = f"{TOPIC}-{protocol}"
    rig.create_topics({topic: PARTITIONS})
    stalls: dict[str, list[float]] = {"start": [], "SIGTERM": [], "kill -9": []}
    with (
        _worker(rig),
        rig.receiver() as receiver,
        ingests(rig, protocol) as running,
        Trickle(rig.kafka.address, {topic: PARTITIONS}, PER_S),
    ):
        arrivals = Arrivals(receiver)
        for _ in range(rounds):
            running.wait_started()
            id_ = rig.subscribe(receiver.url, topic, start="latest")
            stalls["start"].append(arrivals.stall_s(lambda: None))
            for name, number in (("SIGTERM", signal.SIGTERM), ("kill -9", signal.SIGKILL)):
                running.wait_shared()
                stalls[name].append(arrivals.stall_s(partial(running.end_owner, number)))
            rig.unsubscribe(id_)
    return stalls


def _measure(rounds: int) -> int:
    with Rig(BROKER) as rig:
        click.echo("| protocol | event | stall, median | of |\n|---|---|---|---|")
        return max(_try(rig, protocol, rounds) for protocol in PROTOCOLS)


def _try(rig: Rig, protocol: str, rounds: int) -> int:
    """Measure and print; returns 1 when the measurement failed. The other protocol is measured in any case."""
    try:
        _show(protocol, measure(rig, protocol, rounds))
    except Exception as error:  # noqa: BLE001 - any error concerns this protocol only
        click.echo(f"FAILED {protocol}: {error!r}; see {LOGS}")
        return 1
    return 0


def _show(protocol: str, measured: dict[str, list[float]]) -> None:
    for event, stalls in measured.items():
        shown = ", ".join(f"{stall:.1f}" for stall in stalls)
        click.echo(f"| {protocol} | {event} | {statistics.median(stalls):.1f} s | {shown} |")
