"""The rights that the docs list for webhookd's Kafka user, and what is refused without each of them."""

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from tests.harness.kafka_clients import dead_letter_of
from tests.harness.secure_kafka import LIMITED
from webhookd.edges.dead_letter_topics import DeadLetterTopics
from webhookd.edges.kafka_admin import KafkaAdmin
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.errors import GroupDenied, TopicDenied
from webhookd.flow.dead_letter import CopyFailure

DOCS = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "kafka-security.md"


def rights_in_docs(topic: str, dead: str) -> list[AclBinding]:
    """The rights that the commands in the docs grant, for these topics and the limited user."""
    commands = re.findall(r"^kafka-acls\.sh .*$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    return [_right(command, {"orders": topic, "dead-orders": dead}) for command in commands]


def _right(command: str, topics: Mapping[str, str]) -> AclBinding:
    words = shlex.split(command)[1:]
    words.remove("--add")
    options = dict(zip(words[::2], words[1::2], strict=True))
    kind, name = ("TOPIC", topics[options["--topic"]]) if "--topic" in options else ("GROUP", options["--group"])
    return AclBinding(
        ResourceType[kind],
        name,
        ResourcePatternType[options.get("--resource-pattern-type", "literal").upper()],
        f"User:{LIMITED}",
        "*",
        AclOperation[options["--operation"]],
        AclPermissionType.ALLOW,
    )


def _raises(error: type[Exception], action: Callable[[], object]) -> bool:
    try:
        action()
    except error:
        return True
    return False


REFUSED_WITHOUT: Mapping[tuple[object, object], Callable[[KafkaConnection, str], bool]] = {
    (ResourceType.TOPIC, AclOperation.READ): lambda kafka, topic: _raises(
        TopicDenied, lambda: KafkaAdmin(kafka).topic_ids([topic], 30.0)
    ),
    (ResourceType.GROUP, AclOperation.READ): lambda kafka, topic: _raises(
        GroupDenied, lambda: KafkaAdmin(kafka).commit("webhooks-new", {topic: {0: 0}}, 30.0)
    ),
    (ResourceType.GROUP, AclOperation.DELETE): lambda kafka, _: _raises(
        GroupDenied, lambda: KafkaAdmin(kafka).delete_group("webhooks-old", 30.0)
    ),
    (ResourceType.TOPIC, AclOperation.WRITE): lambda kafka, topic: (
        [copy.failure for copy in DeadLetterTopics(kafka).append(f"{topic}-dead", [dead_letter_of(topic)], 5.0)]
        == [CopyFailure.DENIED]
    ),
}
"""What is refused without a right."""
