"""The errors of one subscription in Kafka: which are present, and which last long enough to be a problem.

librdkafka reports an error when it begins and nothing while it lasts, so each error is kept until an event ends it.

error of          begins with                           ends with
a partition       an error event of its fetches         a record or the partition's end was read
                  it has no leader                      it has a leader
a topic           an error event of the subscription    the brokers describe the topic
                  the brokers do not describe it        the brokers describe the topic
the group         an error event without a topic        partitions are assigned, or a commit succeeded
a commit          a failed commit                       the next commit of the partition succeeded

An error that has lasted for PROBLEM_AFTER_S is a problem of the subscription with one of these codes. Its detail has
librdkafka's name and text of the error.

topic_denied      the brokers do not authorise webhookd to read a topic
group_denied      the brokers do not authorise webhookd to use the consumer group
commit_failed     offsets cannot be committed, for another reason
read_failed       any other error

Connection errors are ignored here: they concern the whole process. While the brokers do not answer, no error begins or
ends.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import inf
from typing import Final

from webhookd.errors import GroupDenied, TopicDenied
from webhookd.flow.offsets.position import Partition
from webhookd.flow.offsets.topic_metadata import Topics

PROBLEM_AFTER_S: Final = 30.0
PROBE_INTERVAL_S: Final = 10.0
"""How often a partition with an error is fetched anew: without that librdkafka does not report the end of the error."""

STARTUP_GRACE_S: Final = 1.5 * PROBLEM_AFTER_S
"""Problems that were stored before the start are kept for this long, because their errors may be reported again."""

TOPICS_REQUEST_S: Final = 5.0
"""The timeout of a request for the metadata of the topics."""

ALL_PARTITIONS: Final = -1
"""The partition number that stands for all partitions of a topic."""

GROUP: Final = Partition("", ALL_PARTITIONS)
"""The place of an error without a topic."""

TOPIC_DENIED: Final = TopicDenied.code
GROUP_DENIED: Final = GroupDenied.code
COMMIT_FAILED: Final = "commit_failed"
READ_FAILED: Final = "read_failed"
CODES: Final = (TOPIC_DENIED, GROUP_DENIED, COMMIT_FAILED, READ_FAILED)

TOPIC_REFUSAL: Final = "topic_authorization_failed"
GROUP_REFUSAL: Final = "group_authorization_failed"
NO_LEADER: Final = "leader_not_available"
IGNORED_ERRORS: Final = frozenset(
    {"all_brokers_down", "transport", "resolve", "authentication", "ssl", "timed_out", "fatal", "unknown_topic_or_part"}
)
"""Connection errors concern the whole process. A topic that does not exist is the problem `topic_missing`. After a
fatal error the consumer is replaced."""

PLACES_SHOWN: Final = 5


def outage_after_s(check_interval_s: float) -> float:
    """Return for how long the brokers must not have answered for an outage.

    After an outage the time of all errors starts again, because an error from before it may end soon. The result is
    longer than the time between two checks of the topics to which the brokers answer, even if they answer slowly.
    """
    return 3.0 * check_interval_s + TOPICS_REQUEST_S


@dataclass(slots=True)
class KafkaReadError:
    """One error that is present."""

    name: str
    text: str
    since: float
    probed_at: float


class KafkaReadErrors:
    """The errors of one subscription; owned by the ingest loop's thread. Times are monotonic seconds."""

    def __init__(self, now: float, check_interval_s: float) -> None:
        self._began_at = now
        self._outage_after_s = outage_after_s(check_interval_s)
        self._reads: dict[Partition, KafkaReadError] = {}
        self._commits: dict[Partition, KafkaReadError] = {}
        self._answered_at = -inf

    def error_reported(self, place: Partition, name: str, text: str, now: float) -> None:
        """Begin the error of a partition, a topic (number ALL_PARTITIONS) or the GROUP."""
        if name not in IGNORED_ERRORS:
            _begin(self._reads, place, name, text, now)

    def commit_failed(self, partitions: Iterable[Partition], name: str, text: str, now: float) -> None:
        """Begin the error of a failed commit."""
        if name not in IGNORED_ERRORS:
            for partition in partitions:
                _begin(self._commits, partition, name, text, now)

    def read_succeeded(self, partition: Partition) -> None:
        """Records of the partition, or its end, were read: its error is over."""
        if self._reads:
            self._reads.pop(partition, None)

    def commit_succeeded(self, partitions: Iterable[Partition]) -> None:
        """A commit succeeded: errors of the group and of these commits are over."""
        self._reads.pop(GROUP, None)
        for partition in partitions:
            self._commits.pop(partition, None)

    def forget(self, partition: Partition) -> None:
        """The partition is no longer assigned to this consumer: drop its errors."""
        self._reads.pop(partition, None)
        self._commits.pop(partition, None)

    def partitions_assigned(self) -> None:
        """The group has assigned partitions: its error is over."""
        self._reads.pop(GROUP, None)

    def topics_described(self, topics: Topics, used: Collection[str], now: float) -> None:
        """Update the errors after the brokers have described topics; `used` are those of the subscription."""
        if now - self._answered_at > self._outage_after_s:
            for failure in (*self._reads.values(), *self._commits.values()):
                failure.since = now
        self._answered_at = now
        for topic in used:
            if topic in topics.denied:
                text = "the brokers do not describe the topic"
                _begin(self._reads, Partition(topic, ALL_PARTITIONS), TOPIC_REFUSAL, text, now)
            elif topic in topics.partitions:
                self._described(topic, topics, now)

    def _described(self, topic: str, topics: Topics, now: float) -> None:
        leaderless = topics.leaderless.get(topic, ())
        for place, failure in list(self._reads.items()):
            led = failure.name == NO_LEADER and place.number not in leaderless
            if place.topic == topic and (place.number == ALL_PARTITIONS or led or not topics.partitions[topic]):
                del self._reads[place]
        for number in leaderless:
            _begin(self._reads, Partition(topic, number), NO_LEADER, "the partition has no leader", now)

    def due_probes(self, partitions: Collection[Partition], now: float, at_most: int) -> list[Partition]:
        """Return which of these partitions to fetch anew now; each is due again after PROBE_INTERVAL_S."""
        failing = sorted((self._reads[p].probed_at, p) for p in partitions if p in self._reads)
        due = [partition for probed_at, partition in failing if now - probed_at >= PROBE_INTERVAL_S][:at_most]
        for partition in due:
            self._reads[partition].probed_at = now
        return due

    def is_unreadable(self, partition: Partition) -> bool:
        """Return whether an error keeps the partition from being fetched, so that no fetch returns its end."""
        return bool(self._reads) and (
            partition in self._reads
            or Partition(partition.topic, ALL_PARTITIONS) in self._reads
            or GROUP in self._reads
        )

    def startup_is_over(self, now: float) -> bool:
        """Return whether problems from before the start now end if their errors were not reported again."""
        return now - self._began_at >= STARTUP_GRACE_S

    def is_described(self, topic: str) -> bool:
        """Return whether the brokers describe a topic."""
        return Partition(topic, ALL_PARTITIONS) not in self._reads

    def lasting_problems(
        self, assigned: Collection[Partition], fetched: Collection[Partition], now: float
    ) -> dict[str, str]:
        """Return the current problems by code, with their details.

        Of the `assigned` partitions only those in `fetched` can have read errors: for a paused one it is not known
        whether its error is over.
        """
        reads = {place: failure for place, failure in self._reads.items() if _concerns(place, failure, assigned)}
        if GROUP in self._reads and GROUP not in reads:
            self._reads[GROUP].since = now  # it counts only while the group assigns no partitions
        found: dict[tuple[str, str, str], list[Partition]] = {}
        for failures, concerned, other in ((reads, fetched, READ_FAILED), (self._commits, assigned, COMMIT_FAILED)):
            for place, failure in failures.items():
                if now - failure.since >= PROBLEM_AFTER_S and (place.number == ALL_PARTITIONS or place in concerned):
                    found.setdefault((_code(failure.name, other), failure.name, failure.text), []).append(place)
        details: dict[str, list[str]] = {}
        for (code, name, text), places in found.items():
            details.setdefault(code, []).append(f"{_shown(places)}{name}: {text}")
        return {code: "; ".join(lines) for code, lines in details.items()}


def _begin(failures: dict[Partition, KafkaReadError], place: Partition, name: str, text: str, now: float) -> None:
    known = failures.get(place)
    if known is None:
        failures[place] = KafkaReadError(name, text, now, now)
    elif known.name != name:  # the error has changed, the start time stays
        known.name, known.text = name, text


def _concerns(place: Partition, failure: KafkaReadError, assigned: Collection[Partition]) -> bool:
    """Return whether an error keeps records from being read.

    A group that has assigned partitions works, even if an error was reported. The exception is the error that the
    consumer is not authorised: it loses its partitions soon.
    """
    return place != GROUP or failure.name == GROUP_REFUSAL or not assigned


def _code(name: str, other: str) -> str:
    return {TOPIC_REFUSAL: TOPIC_DENIED, GROUP_REFUSAL: GROUP_DENIED}.get(name, other)


def _shown(places: Collection[Partition]) -> str:
    names = [
        place.topic if place.number == ALL_PARTITIONS else str(place) for place in sorted(places) if place != GROUP
    ]
    more = [f"and {len(names) - PLACES_SHOWN} more"] if len(names) > PLACES_SHOWN else []
    shown = ", ".join([*names[:PLACES_SHOWN], *more])
    return f"{shown}: " if shown else ""
