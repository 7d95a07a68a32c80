"""What a scenario runs against: a stack of its own, or one that is already there."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from webhookd_load_test.cluster.timeline import Step
from webhookd_load_test.run_folder.facts import Event
from webhookd_load_test.run_folder.samples import ProcessSample


class RunningTimeline(Protocol):
    """A timeline that has begun."""

    @property
    def events(self) -> Sequence[Event]:
        """What has happened so far."""

    def wait(self) -> None:
        """Block until its last step has ended. Raises the error that ended it early."""

    def stop(self) -> None:
        """Begin no other step, and wait for the one that is in progress."""


class Target(Protocol):
    """Kafka and webhookd, as a scenario needs them. `kafka` are properties of librdkafka's clients."""

    kafka: Mapping[str, str]
    api_url: str
    api_key: str
    replication_factor: int

    def start_webhookd(self) -> None:
        """Start webhookd's processes, if they are its own; blocks until they are ready."""

    def versions(self) -> dict[str, str]:
        """The versions of what runs, for people."""

    def processes(self) -> dict[str, ProcessSample]:
        """The usage of the processes, by name; empty when they are not its own."""

    def begin(self, steps: Sequence[Step], began_ns: int) -> RunningTimeline:
        """Begin a timeline, whose times count from this moment."""
