"""One admin client per cluster for the whole test session.

librdkafka 2.16 has crashed (in its main thread) while a client that had just created topics was destroyed, so the
clients are kept until the session ends.
"""

import logging
from functools import cache

from confluent_kafka.admin import AdminClient


@cache
def admin_of(bootstrap_servers: str) -> AdminClient:
    """The admin client for these brokers."""
    return AdminClient({"bootstrap.servers": bootstrap_servers}, logger=logging.getLogger("librdkafka"))
