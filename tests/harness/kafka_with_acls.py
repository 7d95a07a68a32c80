"""A Kafka of a test's own with an authorizer, and the rules of that authorizer.

All clients are the same anonymous principal, so a rule applies to webhookd and to the test. Without a rule everything
is allowed, as on a broker without an authorizer.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from stack.errors import NotStarted
from stack.kafka import KafkaOptions
from stack.service_group import ServiceGroup
from tests.harness.clusters import PATIENCE_S, Cluster
from tests.harness.kafka_admin import admin_of
from tests.harness.services import required_service
from webhookd import clock

AUTHORIZER: Final = KafkaOptions(
    settings={
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
)
EVERYBODY: Final = "User:*"
TOPIC, GROUP = ResourceType.TOPIC, ResourceType.GROUP
READ, DESCRIBE = AclOperation.READ, AclOperation.DESCRIBE


class KafkaWithAcls(Cluster):
    """A cluster whose access rules a test sets."""

    def __init__(self, bootstrap_servers: str) -> None:
        super().__init__(bootstrap_servers, real=True)
        self._admin = admin_of(bootstrap_servers)

    def deny(self, kind: ResourceType, name: str, operation: AclOperation) -> None:
        """Allow all operations but one; the rule is in force when this returns."""
        rules = [
            self._rule(kind, name, AclOperation.ALL, AclPermissionType.ALLOW),
            self._rule(kind, name, operation, AclPermissionType.DENY),
        ]
        for answer in self._admin.create_acls(rules).values():
            answer.result(PATIENCE_S)
        self._until_rules(kind, name, len(rules))

    def restore(self, kind: ResourceType, name: str) -> None:
        """Allow all operations again."""
        for answer in self._admin.delete_acls([_of(kind, name)]).values():
            answer.result(PATIENCE_S)
        self._until_rules(kind, name, 0)

    def _until_rules(self, kind: ResourceType, name: str, count: int) -> None:
        deadline, pause = clock.monotonic() + PATIENCE_S, threading.Event()
        while len(self._admin.describe_acls(_of(kind, name)).result(PATIENCE_S)) != count:
            assert clock.monotonic() < deadline, "the rules were not in force in time"
            pause.wait(0.05)

    @staticmethod
    def _rule(kind: ResourceType, name: str, operation: AclOperation, permission: AclPermissionType) -> AclBinding:
        return AclBinding(kind, name, ResourcePatternType.LITERAL, EVERYBODY, "*", operation, permission)


def _of(kind: ResourceType, name: str) -> AclBindingFilter:
    anyone: Any = None  # the type stubs do not allow None
    return AclBindingFilter(
        kind, name, ResourcePatternType.LITERAL, anyone, anyone, AclOperation.ANY, AclPermissionType.ANY
    )


@contextmanager
def kafka_with_acls() -> Iterator[KafkaWithAcls]:
    """Start such a Kafka; skips the test when Kafka cannot be started."""
    required_service("kafka")
    with ServiceGroup() as session:
        try:
            kafka = session.start_kafka(AUTHORIZER)
            session.wait_ready()
        except NotStarted as reason:
            pytest.fail(str(reason), pytrace=False)
        yield KafkaWithAcls(kafka.address)
