"""What a consumer begins with. Real: the settings and Kafka's client, whose broker does not listen."""

from dataclasses import replace

import pytest

from tests.harness.lanes import TOPIC, tokens
from tests.harness.memory_consumer import MemoryServices
from tests.harness.subscription_consumers import DESTINATION
from tests.harness.subscriptions import subscription
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.flow.batching.backpressure import UNVERIFIED_LANE_BYTES
from webhookd.flow.destination import Verification
from webhookd.flow.policy.policy import OPEN_TOPIC
from webhookd.flow.subscription import Source
from webhookd.settings import Settings
from workers.ingest.consumer.consumer_factory import ConsumerFactory

LANE_BYTES = 2 * UNVERIFIED_LANE_BYTES


@pytest.mark.parametrize(
    ("verification", "lane_bytes"), [(Verification.NONE, LANE_BYTES), (Verification.ECHO, UNVERIFIED_LANE_BYTES)]
)
def test_little_is_buffered_before_the_consent(verification: Verification, lane_bytes: int) -> None:
    settings = Settings(redis_url="memory://", lane_buffer_bytes=LANE_BYTES)
    factory = ConsumerFactory(settings, KafkaConnection("127.0.0.1:1"), tokens("id"))
    destination = replace(DESTINATION, verification=verification)
    asked = subscription(destination=destination, sources=(Source(topic=TOPIC),), policies={TOPIC: OPEN_TOPIC})
    consumer = factory.open(asked, None, MemoryServices())
    consumer.close(commit=False)
    assert consumer.backpressure.lane_bytes == lane_bytes
