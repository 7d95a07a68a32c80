"""Performs the steps of a timeline on a Kafka cluster and on webhookd's processes."""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from stack.errors import ChangeRefused
from stack.kafka_changes import Holding
from webhookd_load_test.cluster import broker_choice
from webhookd_load_test.cluster.timeline import Action, Step
from webhookd_load_test.cluster.timeline_thread import Done


class Brokers(Protocol):
    """The changes of a Kafka cluster, as stack.kafka_changes.KafkaChanges makes them; each blocks until complete."""

    @property
    def running(self) -> Collection[int]:
        """The ids of the brokers that run."""

    @property
    def quorum(self) -> int:
        """The ids up to this one hold the quorum."""

    def add_broker(self) -> int:
        """Start a broker; returns its id."""

    def give_share(self, node_id: int, topics: Collection[str] | None = None) -> Holding:
        """Move a fair share of the topics' partitions to it; returns what it has then."""

    def remove_broker(self, node_id: int) -> None:
        """Move its partitions away, stop it, and unregister it."""

    def kill_broker(self, node_id: int) -> None:
        """Kill it."""

    def start_broker(self, node_id: int) -> None:
        """Start a killed one again; complete when it is in sync."""


class Processes(Protocol):
    """Processes of one kind."""

    def scale(self, count: int) -> None:
        """Start or stop processes until there are so many; waits for the end of those that it stops."""

    def kill_one(self) -> Callable[[], None]:
        """Kill one with SIGKILL. The callback starts it again."""


class ClusterActions:
    """Performs steps. An added broker gets a share of the partitions of `topics`; None: of all but internal ones.

    Without processes of a kind, their steps raise ChangeRefused; timeline_check.py finds such steps before the run.
    """

    def __init__(
        self,
        brokers: Brokers,
        *,
        topics: Collection[str] | None = None,
        ingest: Processes | None = None,
        workers: Processes | None = None,
    ) -> None:
        self._brokers = brokers
        self._topics = topics
        self._processes = {"ingest": ingest, "worker": workers}
        self._actions: Mapping[Action, Callable[[Step], Done]] = {
            "add_broker": self._add_broker,
            "remove_broker": self._remove_broker,
            "kill_broker": self._kill_broker,
            "kill_ingest": lambda _step: self._kill_process("ingest"),
            "kill_worker": lambda _step: self._kill_process("worker"),
            "scale_ingest": lambda step: self._scale("ingest", step.to),
            "scale_workers": lambda step: self._scale("worker", step.to),
        }

    def perform(self, step: Step) -> Done:
        """Perform a step; blocks until it is complete. Raises ChangeRefused, NotChanged and NotStarted."""
        return self._actions[step.do](step)

    def _add_broker(self, _step: Step) -> Done:
        added = self._brokers.add_broker()
        has = self._brokers.give_share(added, self._topics)
        text = f"broker {added} added; of {has.partitions} partitions it has {has.replicas} and leads {has.led}"
        return Done(kind="broker", text=text)

    def _remove_broker(self, step: Step) -> Done:
        chosen = step.broker or broker_choice.to_remove(self._brokers.running, self._brokers.quorum)
        if chosen is None:
            raise ChangeRefused("no broker runs that was added before")
        self._brokers.remove_broker(chosen)
        return Done(kind="broker", text=f"broker {chosen} drained and removed")

    def _kill_broker(self, step: Step) -> Done:
        chosen = step.broker or broker_choice.to_kill(self._brokers.running)
        if chosen is None:
            raise ChangeRefused("no broker runs")
        self._brokers.kill_broker(chosen)
        return Done(kind="broker", text=f"broker {chosen} killed", restart=lambda: self._start_broker(chosen))

    def _start_broker(self, broker: int) -> Done:
        self._brokers.start_broker(broker)
        return Done(kind="broker", text=f"broker {broker} runs again, in sync")

    def _kill_process(self, name: str) -> Done:
        start_again = self._of(name).kill_one()

        def restart() -> Done:
            start_again()
            return Done(kind="process", text=f"one {name} process started again")

        return Done(kind="process", text=f"one {name} process killed", restart=restart)

    def _scale(self, name: str, count: int | None) -> Done:
        if count is None:
            raise ChangeRefused(f"it does not say how many {name} processes there are to be")
        self._of(name).scale(count)
        return Done(kind="process", text=f"{name} processes scaled to {count}")

    def _of(self, name: str) -> Processes:
        if (processes := self._processes[name]) is None:
            raise ChangeRefused(f"there are no {name} processes")
        return processes
