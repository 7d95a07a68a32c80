"""The table of docs/how-to/deploy.md: SIGTERM ends every process in time, whatever the services do meanwhile.

Rows: the long-running processes. Columns: which services answer. Oracles: exit codes, and the time until the exit. All
processes of a column run at the same time.
"""

import uuid
from dataclasses import dataclass

from stack.free_ports import free_ports

STOP_BUDGET_S = 1.0
"""WEBHOOKD_STOP_BUDGET_S of these processes."""

END_S = {"api": 12.0, "ingest": STOP_BUDGET_S + 15.0, "worker": STOP_BUDGET_S + 15.0, "flower": 2.0}
"""The budgets: gunicorn's graceful timeout, what a supervisor should wait, and Flower's."""

COMMANDS = {"api": ("api",), "ingest": ("ingest",), "worker": ("worker",), "flower": ("flower",)}


@dataclass
class Services:
    """The addresses of the three services."""

    kafka: str
    redis: str
    database: str

    def environment(self) -> dict[str, str]:
        """The settings of a process."""
        api, flower = free_ports(2)
        return {
            "WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "WEBHOOKD_REDIS_URL": self.redis,
            "WEBHOOKD_REDIS_KEY_PREFIX": f"sigterm-{uuid.uuid4().hex}:",
            "WEBHOOKD_DATABASE_URL": self.database,
            "WEBHOOKD_STOP_BUDGET_S": str(STOP_BUDGET_S),
            "WEBHOOKD_API_BIND": f"127.0.0.1:{api}",
            "FLOWER_PORT": str(flower),
        }


STARTED = {
    "api": "Booting worker",
    "ingest": '"event":"ingest_started"',
    "worker": "celery@",
    "flower": '"event":"flower_started"',
}
