"""Topics and consumer groups in memory, behind the same questions as the real Kafka."""

from collections.abc import Sequence

from webhookd.edges.kafka_offsets import Offsets
from webhookd.errors import Conflict, KafkaUnavailable


class MemoryOffsets:
    """What KafkaOffsets answers, told by the test: `ends` and `occupied` are set, `committed` is read.

    With `away` set every question is answered as if no broker could be reached.
    """

    def __init__(self, ends: dict[str, dict[int, int]] | None = None) -> None:
        self.ends = ends or {}
        self.committed: dict[str, dict[str, dict[int, int]]] = {}
        self.ids: dict[str, str] = {}
        self.occupied: set[str] = set()
        self.away = False

    def end_offsets(self, topics: Sequence[str], timeout_s: float) -> dict[str, dict[int, int]]:
        """Where each topic ends now; {} for one that does not exist."""
        self._answer(timeout_s)
        return {topic: dict(self.ends.get(topic, {})) for topic in topics}

    def topic_ids(self, topics: Sequence[str], timeout_s: float) -> dict[str, str]:
        """The UUIDs the test has set in `ids`."""
        self._answer(timeout_s)
        return {topic: self.ids[topic] for topic in topics if topic in self.ids}

    def commit(self, group: str, offsets: Offsets, timeout_s: float) -> None:
        """Commit into a group without members; raises Conflict when it has some."""
        if not offsets:
            return
        self._answer(timeout_s)
        self._must_be_free(group)
        kept = self.committed.setdefault(group, {})
        for topic, positions in offsets.items():
            kept.setdefault(topic, {}).update(positions)

    def delete_group(self, group: str, timeout_s: float) -> None:
        """Delete a group and its offsets; one with members raises Conflict."""
        self._answer(timeout_s)
        self._must_be_free(group)
        self.committed.pop(group, None)

    def ping(self, timeout_s: float) -> None:
        """Have one broker answer."""
        self._answer(timeout_s)

    def _answer(self, timeout_s: float) -> None:
        if self.away or timeout_s <= 0:
            raise KafkaUnavailable

    def _must_be_free(self, group: str) -> None:
        if group in self.occupied:
            raise Conflict("the group has members")
