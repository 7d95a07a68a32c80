"""The command `million`: proves that a million records all arrive, in order, and once unless a process is killed."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import click

from webhookd_load_test.benchmarks.endpoints.receiver_report import ReceiverReport
from webhookd_load_test.benchmarks.kafka.backlog import backlog
from webhookd_load_test.benchmarks.rig.command_end import end_with
from webhookd_load_test.benchmarks.rig.pipeline import Pipeline
from webhookd_load_test.benchmarks.rig.rig import Rig
from webhookd_load_test.group_offsets import GroupOffsets, behind
from webhookd_load_test.process_usage import wait_until

TOPIC, PARTITIONS = "million", 4
RUN_TIMEOUT_S = 240.0
KILL_TIMEOUT_S = 180.0
ASK_INTERVAL_S = 0.5


@click.command()
@click.option("--records", type=click.IntRange(PARTITIONS), default=1_000_000, show_default=True)
def million(records: int) -> None:
    """Prove that a million records all arrive, in order, and once unless a process is killed.

    Four runs over one topic of four partitions: to nginx; to a checking receiver, in batches of 100 and of 1; and again
    in batches of 1 with `kill -9` of the worker in the middle. Each ends when the committed offsets equal the end
    offsets, and prints what arrived. The exit code is 1 when a record is missing or out of order, or arrived twice
    without a kill.
    """
    end_with(lambda: _measure(records))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The result of one run."""

    name: str
    held: bool
    elapsed_s: float
    findings: str

    def __str__(self) -> str:
        return f"{'held  ' if self.held else 'BROKEN'} {self.name}: {self.findings}; {self.elapsed_s:.1f} s"


class Million:
    """The topic and the runs over it."""

    def __init__(self, rig: Rig, records: int) -> None:
        self._rig = rig
        self._records = records
        rig.create_topics({TOPIC: PARTITIONS})
        backlog(rig.kafka.address, TOPIC, PARTITIONS, records)
        self._offsets = GroupOffsets({"bootstrap.servers": rig.kafka.address}, {TOPIC: PARTITIONS})
        self._ends = {partition: end for (_, partition), end in self._offsets.ends().items()}

    def to_nginx(self) -> Proof:
        """Deliver one record per request; nginx counts them."""
        rig, began = self._rig, time.monotonic()
        before = rig.nginx_requests()
        with rig.pipeline(), rig.subscription(rig.nginx.address, TOPIC) as id_:
            all_committed = self._all_committed(id_)
        requests = rig.nginx_requests() - before
        findings = f"{requests:,} requests for {self._records:,} records; {self._commit_text(all_committed)}"
        return self._proof("nginx, batch 1", all_committed and requests == self._records, began, findings)

    def to_receiver(self, batch: int) -> Proof:
        """Check every offset; no process is killed."""
        return self._checked(
            f"checking receiver, batch {batch}", batch, lambda _pipeline, _seen: None, duplicates=False
        )

    def with_a_kill(self) -> Proof:
        """Check every offset; the worker is killed half-way and another one is started."""

        def kill(pipeline: Pipeline, seen: Callable[[], ReceiverReport]) -> None:
            if not wait_until(lambda: seen().records * 2 > self._records, KILL_TIMEOUT_S):
                raise RuntimeError("half of the records did not arrive in time")
            pipeline.restart_worker()

        return self._checked("worker killed in the middle, batch 1", 1, kill, duplicates=True)

    def _checked(
        self,
        name: str,
        batch: int,
        meanwhile: Callable[[Pipeline, Callable[[], ReceiverReport]], None],
        *,
        duplicates: bool,
    ) -> Proof:
        rig, began = self._rig, time.monotonic()
        with rig.receiver() as receiver:
            with rig.pipeline() as pipeline, rig.subscription(receiver.url, TOPIC, batch=batch) as id_:
                meanwhile(pipeline, receiver.report)
                all_committed = self._all_committed(id_)
            seen = receiver.report()
        whole = seen.whole_ends == self._ends and not seen.missing
        sound = whole and not seen.out_of_order and (duplicates or not seen.duplicates)
        findings = (
            f"{seen.records:,} records in {seen.requests:,} requests; {seen.missing} gaps, "
            f"{seen.duplicates:,} duplicates, {seen.out_of_order} out of order; "
            f"{self._commit_text(all_committed)}"
        )
        return self._proof(name, all_committed and sound, began, findings)

    def _all_committed(self, id_: str) -> bool:
        return wait_until(lambda: not behind(self._offsets, [id_]), RUN_TIMEOUT_S, interval_s=ASK_INTERVAL_S)

    def _commit_text(self, all_committed: bool) -> str:  # noqa: FBT001 - the result of the method above
        return f"committed offsets {'equal' if all_committed else 'DO NOT EQUAL'} the end offsets"

    def _proof(self, name: str, held: bool, began: float, findings: str) -> Proof:  # noqa: FBT001 - a field of it
        return Proof(name=name, held=held, elapsed_s=time.monotonic() - began, findings=findings)


def _measure(records: int) -> int:
    with Rig() as rig:
        click.echo(f"producing {records:,} records")
        proofs_of = Million(rig, records)
        runs: dict[str, Callable[[], Proof]] = {
            "nginx": proofs_of.to_nginx,
            "batch 100": lambda: proofs_of.to_receiver(100),
            "batch 1": lambda: proofs_of.to_receiver(1),
            "worker killed": proofs_of.with_a_kill,
        }
        proofs = [_shown(_guarded(name, run)) for name, run in runs.items()]
        return 0 if all(proof.held for proof in proofs) else 1


def _guarded(name: str, run: Callable[[], Proof]) -> Proof:
    """The result of a run; an exception counts as a broken run, and the others continue."""
    began = time.monotonic()
    try:
        return run()
    except Exception as error:  # noqa: BLE001 - any error concerns this run only
        return Proof(name=name, held=False, elapsed_s=time.monotonic() - began, findings=str(error) or repr(error))


def _shown(proof: Proof) -> Proof:
    click.echo(proof)
    return proof
