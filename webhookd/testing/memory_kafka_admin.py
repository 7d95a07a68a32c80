"""A fake KafkaAdmin: topics and consumer groups in memory."""

from collections.abc import Mapping, Sequence

from webhookd.edges.kafka_admin import Offsets
from webhookd.errors import Conflict, KafkaAuthenticationFailed, KafkaUnavailable, TopicDenied
from webhookd.flow.offsets.position import Committed, Partition
from webhookd.flow.offsets.topic_metadata import TopicRules, TopicSample


class MemoryKafkaAdmin:
    """Behaves like KafkaAdmin. A test sets `ends` and `groups_with_members`, and reads `committed`.

    `records` has the values of a topic's records, `metadata` the metadata of the committed offsets. The topics in
    `denied` may not be used. While `down` is set every call raises KafkaUnavailable, while `refused` is set
    KafkaAuthenticationFailed.
    """

    def __init__(self, ends: dict[str, dict[int, int]] | None = None) -> None:
        self.ends = ends or {}
        self.committed: dict[str, dict[str, dict[int, int]]] = {}
        self.ids: dict[str, str] = {}
        self.rules: dict[str, TopicRules] = {}
        self.records: dict[str, list[bytes | None]] = {}
        self.metadata: dict[str, dict[Partition, str]] = {}
        self.joins: list[tuple[str, tuple[str, ...], str]] = []
        self.groups_with_members: set[str] = set()
        self.denied: set[str] = set()
        self.down = False
        self.refused = False
        self.cluster = "cluster-in-memory"

    def end_offsets(self, topics: Sequence[str], timeout_s: float) -> dict[str, dict[int, int]]:
        """The end offsets of each topic; {} for a topic that does not exist."""
        self._check_up(timeout_s)
        for topic in self.denied & set(topics):
            raise TopicDenied(topic)
        return {topic: dict(self.ends.get(topic, {})) for topic in topics}

    def topic_ids(self, topics: Sequence[str], timeout_s: float) -> dict[str, str]:
        """The UUIDs that the test has set in `ids`."""
        self._check_up(timeout_s)
        return {topic: self.ids[topic] for topic in topics if topic in self.ids}

    def topic_rules(self, topic: str, timeout_s: float) -> TopicRules:
        """The rules that the test has set in `rules`."""
        self._check_up(timeout_s)
        return self.rules.get(topic, TopicRules())

    def commit(self, group: str, offsets: Offsets, timeout_s: float) -> None:
        """Commit offsets of a group. Raises Conflict when it has members."""
        if not offsets:
            return
        self._check_up(timeout_s)
        self._check_empty(group)
        kept = self.committed.setdefault(group, {})
        for topic, positions in offsets.items():
            kept.setdefault(topic, {}).update(positions)

    def commits(self, group: str, topics: Sequence[str], timeout_s: float) -> dict[Partition, Committed]:
        """What the group has committed in these topics."""
        self._check_up(timeout_s)
        texts, kept = self.metadata.get(group, {}), self.committed.get(group, {})
        places = {Partition(topic, n): at for topic in topics for n, at in kept.get(topic, {}).items()}
        return {place: Committed(offset=at, metadata=texts.get(place, "")) for place, at in places.items()}

    def recommit(self, group: str, commits: Mapping[Partition, Committed], timeout_s: float) -> None:
        """Commit these offsets again with their metadata. Raises Conflict when the group has members."""
        for place, at in commits.items():
            self.commit(group, {place.topic: {place.number: at.offset}}, timeout_s)
            self.metadata.setdefault(group, {})[place] = at.metadata

    def join_briefly(self, group: str, topics: Sequence[str], protocol: str, timeout_s: float) -> None:
        """Record the call in `joins`."""
        self._check_up(timeout_s)
        self.joins.append((group, tuple(topics), protocol))

    def delete_group(self, group: str, timeout_s: float) -> None:
        """Delete a group and its offsets. Raises Conflict when it has members."""
        self._check_up(timeout_s)
        self._check_empty(group)
        self.committed.pop(group, None)
        self.metadata.pop(group, None)

    def samples(self, group: str, topics: Sequence[str], count: int, timeout_s: float) -> dict[str, TopicSample]:
        """The topics in `ends`, with the records that the test has set in `records`."""
        del group
        self._check_up(timeout_s)
        found = {topic: TopicSample(exists=topic in self.ends) for topic in topics}
        read = {topic: TopicSample(values=tuple(self.records.get(topic, [])[-count:])) for topic in self.ends}
        denied = {topic: TopicSample(denied=True) for topic in self.denied}
        return {topic: (found | read | denied)[topic] for topic in topics}

    def ping(self, timeout_s: float) -> None:
        """Raises KafkaUnavailable while `down`."""
        self._check_up(timeout_s)

    def cluster_id(self, timeout_s: float) -> str:
        """The id that the test has set in `cluster`."""
        self._check_up(timeout_s)
        return self.cluster

    def _check_up(self, timeout_s: float) -> None:
        if self.refused:
            raise KafkaAuthenticationFailed
        if self.down or timeout_s <= 0:
            raise KafkaUnavailable

    def _check_empty(self, group: str) -> None:
        if group in self.groups_with_members:
            raise Conflict("the group has members")
