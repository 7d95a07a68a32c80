"""librdkafka's mock cluster: Kafka brokers inside this process, for the demo and for tests.

It speaks Kafka's protocol to any client and supports the consumer group protocol of Kafka 4. A topic is created on
first use, with four partitions. Each partition keeps 5 MB or 100,000 messages; older ones are dropped, so no reader may
fall that far behind. It has no DescribeTopics, and a request to delete a group makes librdkafka abort the process.
"""

from confluent_kafka import KafkaException, Producer

from webhookd.errors import KafkaUnavailable

START_S = 10.0


class MockCluster:
    """One broker, which runs as long as this object exists; `producer` is the client that hosts it."""

    def __init__(self) -> None:
        self.producer = Producer({"test.mock.num.brokers": 1, "linger.ms": 0, "log_level": 3})
        try:
            brokers = self.producer.list_topics(timeout=START_S).brokers
        except KafkaException as error:
            raise KafkaUnavailable(str(error)) from error
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())

    def create_topic(self, topic: str) -> int:
        """Create a topic; returns how many partitions it has."""
        return len(self.producer.list_topics(topic, timeout=START_S).topics[topic].partitions)
