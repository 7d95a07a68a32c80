"""Every client of Kafka logs through the logger that folds repeated lines, not to stderr in librdkafka's own format.

Oracle: Python's own parser over every call that makes a client.
"""

import ast
from pathlib import Path

from tests.closure.findings import told

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("webhookd", "workers", "api", "command")
CLIENTS = {"AdminClient", "Consumer", "Producer"}
EXEMPT = {"webhookd/testing/mock_cluster.py", "webhookd/edges/change_notifications.py"}
"""The mock cluster of tests and of the demo; and kombu's classes, which have the same names."""


def test_every_kafka_client_has_the_logger() -> None:
    calls = [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node)
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if str(path.relative_to(ROOT)) not in EXEMPT
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLIENTS
    ]
    without = [place for place, call in calls if "logger" not in {keyword.arg for keyword in call.keywords}]
    assert calls
    assert without == [], told("clients of Kafka without logger=", without)
