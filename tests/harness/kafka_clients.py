"""Every kind of Kafka client that webhookd has, each with one use of it that needs an answer from a broker."""

import uuid
from collections.abc import Callable, Mapping
from threading import Event

from command.cluster_probe import probe_cluster
from command.topic import Records
from tests.harness.clusters import PATIENCE_S, POLL_INTERVAL_S, Member
from webhookd import clock
from webhookd.edges.dead_letter_topics import DeadLetterTopics
from webhookd.edges.kafka_admin import KafkaAdmin
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_partition_reader import PartitionReader, ReaderCallbacks
from webhookd.edges.kafka_reachability import KafkaProbe
from webhookd.edges.partition_offsets import PartitionOffsets
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.position import Committed, Partition
from workers.ingest.consumer.topic_watch import TopicWatch

RECORDS = 3
"""The records of the topic that is read."""


def new_group() -> str:
    """A group of one test's own."""
    return f"webhooks-{uuid.uuid4()}"


def reads(kafka: KafkaConnection, topic: str) -> object:
    """A subscription's consumer reads the topic and commits."""
    with Member(kafka, new_group(), [topic], "classic") as member:
        member.until_read(RECORDS)
    return member.offsets


def administers(kafka: KafkaConnection, topic: str) -> object:
    """The admin client of API and upkeep: ends, ids, commits, a short membership, deletion of a group."""
    admin, group = KafkaAdmin(kafka), new_group()
    admin.commit(group, {topic: {0: 1}}, PATIENCE_S)
    commits = admin.commits(group, [topic], PATIENCE_S)
    admin.recommit(group, commits, PATIENCE_S)
    admin.join_briefly(group, [topic], "classic", PATIENCE_S)
    admin.delete_group(group, PATIENCE_S)
    return admin.end_offsets([topic], PATIENCE_S), len(admin.topic_ids([topic], PATIENCE_S)), commits


def looks_up_offsets(kafka: KafkaConnection, topic: str) -> object:
    """The client that looks up the offsets of many partitions."""
    offsets, place = PartitionOffsets(kafka), Partition(topic, 0)
    committed = offsets.committed(new_group(), [place], PATIENCE_S)
    return committed, offsets.offset_ranges([place], PATIENCE_S)[place].end


def reads_partitions(kafka: KafkaConnection, topic: str) -> object:
    """The shared reader of an ingest process."""
    ends: list[int] = []
    callbacks = ReaderCallbacks(
        end_reached=lambda _, offset: ends.append(offset),
        position_required=lambda _: ends.append(-1),
        failed=lambda *_: ends.append(-1),
    )
    reader, pause, messages = PartitionReader(kafka, callbacks), Event(), []
    reader.add({Partition(topic, 0): 0})
    deadline = clock.monotonic() + PATIENCE_S
    while not ends and clock.monotonic() < deadline:
        messages += reader.poll()
        pause.wait(POLL_INTERVAL_S)
    reader.close()
    return len(messages), ends


def watches_topics(kafka: KafkaConnection, topic: str) -> object:
    """The client that fetches the metadata of topics before each commit."""
    watch = TopicWatch(kafka, interval_s=1.0, in_use=list, on_topics=print)
    return dict(watch.describe([topic]).partitions)


def probes(kafka: KafkaConnection, topic: str) -> object:
    """The probe of ingest and `webhookd cluster`, twice: at the bootstrap servers, then at the brokers."""
    probe = KafkaProbe(kafka)
    found = [probe.cluster_id(PATIENCE_S) for _ in range(2)]
    return found == [KafkaAdmin(kafka).cluster_id(PATIENCE_S)] * 2, topic in probe_cluster(kafka).topics


def dead_letter_of(topic: str) -> DeadLetter:
    """A dead letter of this topic."""
    return DeadLetter(
        subscription_id="s",
        partition=Partition(topic, 0),
        offset=0,
        timestamp_ms=0,
        key=None,
        value=b"{}",
        headers=(),
        cause="test",
    )


def copies_dead_letters(kafka: KafkaConnection, topic: str) -> object:
    """The producer of dead letters; they go to the topic `…-dead`."""
    return DeadLetterTopics(kafka).append(f"{topic}-dead", [dead_letter_of(topic)], PATIENCE_S)


def produces(kafka: KafkaConnection, topic: str) -> object:
    """The producer of `webhookd topic produce`."""
    records = Records(kafka, f"{topic}-dead", None)
    records.produce(b"{}", None)
    records.finish()
    return records.produced, records.problem


USES: Mapping[str, tuple[Callable[[KafkaConnection, str], object], Callable[[str], object]]] = {
    "subscription consumer": (reads, lambda _: list(range(RECORDS))),
    "shared reader": (reads_partitions, lambda _: (RECORDS, [RECORDS])),
    "admin": (
        administers,
        lambda topic: ({topic: {0: RECORDS}}, 1, {Partition(topic, 0): Committed(offset=1, metadata="")}),
    ),
    "partition offsets": (looks_up_offsets, lambda topic: ({Partition(topic, 0): None}, RECORDS)),
    "topic watch": (watches_topics, lambda topic: {topic: 1}),
    "probe": (probes, lambda _: (True, True)),
    "dead-letter producer": (copies_dead_letters, lambda _: []),
    "topic producer": (produces, lambda _: (1, "")),
}
"""By kind of client: what it does, and what that returns for a topic with RECORDS records."""
