"""What a running stack holds, in words: it is deleted when the stack stops."""

from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

ASK_S = 3.0
NAMES_SHOWN = 5


def described(bootstrap_servers: str, directory: Path) -> str:
    """Return a line with the topics of Kafka, the database, the content of Redis, and their directory."""
    return f"{_topics(bootstrap_servers)}, the Postgres database, the content of Redis (all in {directory})"


def _topics(bootstrap_servers: str) -> str:
    try:
        found = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0}).list_topics(timeout=ASK_S).topics
    except KafkaException:
        return "Kafka's topics"
    names = sorted(name for name in found if not name.startswith("__"))
    shown = ", ".join(names[:NAMES_SHOWN]) + (", …" if len(names) > NAMES_SHOWN else "")
    if not names:
        return "no Kafka topic"
    return f"{len(names)} Kafka {'topic' if len(names) == 1 else 'topics'} ({shown})"
