"""What runs at each moment of a timeline, if each step happens at its time."""

import heapq

from stack.kafka_settings import in_sync_of, replicas_of
from webhookd_load_test.cluster import broker_choice
from webhookd_load_test.cluster.timeline import Step


class ExpectedState:
    """Takes steps in the order of their times. None as a number of processes: the run has none of that kind."""

    def __init__(self, *, brokers: int, ingest: int | None, workers: int | None) -> None:
        self._quorum = brokers
        self._running = set(range(1, brokers + 1))
        self._killed: set[int] = set()
        self._next_id = brokers + 1
        self._wanted = {"ingest": ingest, "worker": workers}
        self._missing = {"ingest": 0, "worker": 0}
        self._restarts: list[tuple[float, str, int]] = []

    def apply(self, step: Step) -> str | None:
        """Take the step; returns why it is not possible, if it is not."""
        while self._restarts and self._restarts[0][0] <= step.at_s:
            _, what, broker = heapq.heappop(self._restarts)
            self._restart(what, broker)
        match step.do:
            case "add_broker":
                return self._add_broker(step)
            case "remove_broker":
                return self._remove_broker(step)
            case "kill_broker":
                return self._kill_broker(step)
            case "kill_ingest" | "scale_ingest":
                return self._change_processes(step, "ingest")
            case "kill_worker" | "scale_workers":
                return self._change_processes(step, "worker")

    def _restart(self, what: str, broker: int) -> None:
        if what == "broker":
            self._killed.remove(broker)
            self._running.add(broker)
        else:
            self._missing[what] = max(0, self._missing[what] - 1)

    def _add_broker(self, step: Step) -> str | None:
        if step.broker not in {None, self._next_id}:
            return f"`broker` must be {self._next_id}, the next id, or left out"
        self._running.add(self._next_id)
        self._next_id += 1
        return None

    def _remove_broker(self, step: Step) -> str | None:
        chosen = step.broker or broker_choice.to_remove(self._running, self._quorum)
        if chosen is None:
            return "no broker runs then that was added before"
        if chosen <= self._quorum:
            return f"broker {chosen} holds the quorum; only added ones can be removed"
        if (fault := self._not_running(chosen)) is not None:
            return fault
        if (left := len(self._running) - 1) < (replicas := replicas_of(self._quorum)):
            return f"the brokers that are left would be {left}, and partitions have {replicas} replicas"
        self._running.remove(chosen)
        return None

    def _kill_broker(self, step: Step) -> str | None:
        chosen = step.broker or broker_choice.to_kill(self._running)
        if chosen is None:
            return "no broker runs then"
        if (fault := self._not_running(chosen)) is not None:
            return fault
        replicas, in_sync = replicas_of(self._quorum), in_sync_of(self._quorum)
        if (left := replicas - len(self._killed) - 1) < in_sync:
            return f"{left} of {replicas} replicas would be left, and min.insync.replicas is {in_sync}"
        self._running.remove(chosen)
        self._killed.add(chosen)
        self._restart_later(step, "broker", chosen)
        return None

    def _not_running(self, broker: int) -> str | None:
        if broker in self._killed:
            return f"broker {broker} does not run then: it was killed"
        return None if broker in self._running else f"there is no broker {broker} then"

    def _change_processes(self, step: Step, what: str) -> str | None:
        if (wanted := self._wanted[what]) is None:
            return f"there are no {what} processes"
        if step.to is not None:
            self._wanted[what] = step.to
            self._missing[what] = 0
        elif self._missing[what] >= wanted:
            return f"no {what} process runs then"
        else:
            self._missing[what] += 1
            self._restart_later(step, what)
        return None

    def _restart_later(self, step: Step, what: str, broker: int = 0) -> None:
        if step.for_s is not None:
            heapq.heappush(self._restarts, (step.at_s + step.for_s, what, broker))
