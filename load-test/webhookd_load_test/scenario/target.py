"""What a scenario runs against: a stack of its own, or one that is already there."""

import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

from webhookd_load_test.cluster.timeline_thread import Actions
from webhookd_load_test.run_folder.samples import ProcessSample

MOST_REPLICAS = 3
"""Of each topic of a run, on a cluster of that size or a larger one."""


class Target(Protocol):
    """Kafka and webhookd, as a scenario needs them. `kafka` are properties of librdkafka's clients."""

    @property
    def kafka(self) -> Mapping[str, str]:
        """The properties of Kafka clients."""

    @property
    def api_url(self) -> str:
        """The URL of the API, without a slash at its end."""

    @property
    def api_key(self) -> str:
        """The key for it; empty if it needs none."""

    @property
    def own(self) -> bool:
        """Whether everything is the run's own, on this machine, and gone after it."""

    @property
    def replication_factor(self) -> int:
        """How many replicas topics are created with."""

    def start_webhookd(self) -> None:
        """Start webhookd's processes, if they are its own; blocks until they are ready."""

    def versions(self) -> dict[str, str]:
        """The versions of what runs, for people."""

    def processes(self) -> dict[str, ProcessSample]:
        """The usage of the processes, by name; empty when they are not its own. Any thread.

        Raises NotChanged when one has ended by itself.
        """

    def actions(self, topics: Sequence[str], stopping: threading.Event) -> Actions:
        """What performs the steps of a timeline; `stopping` ends a step that waits."""
