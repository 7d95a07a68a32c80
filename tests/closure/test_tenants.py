"""The API opens its transactions for the caller's tenant. Oracle: the syntax trees of its modules."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.closure.findings import told

ROOT = Path(__file__).resolve().parents[2]

ALL_TENANTS = {
    "api/extensions/callers.py": "it opens the transactions of the callers",
    "api/extensions/authentication.py": "it reads the key of a request that has no caller yet",
    "api/extensions/last_use.py": "the time of a key's last use; on a thread without a request",
    "api/cluster_check.py": "the id of the Kafka cluster; also without a request",
    "api/resources/health/health_report.py": "counts for operators; on a thread without a request",
}
"""Modules that open transactions themselves, each with the reason."""


def opened(path: Path) -> Iterator[int]:
    """The lines that call `….database.transaction`, `…._database.transaction` or `database.transaction`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Attribute(
                attr="transaction", value=ast.Attribute(attr="database" | "_database") | ast.Name(id="database")
            ):
                yield node.lineno


def test_api_opens_transactions_for_its_caller() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / "api").rglob("*.py"))
        if (lines := list(opened(path)))
    }
    others = [f"{path}:{lines}" for path, lines in found.items() if path not in ALL_TENANTS]
    assert not others, told("use api.extensions.callers.transaction", others)
    assert found.keys() == ALL_TENANTS.keys()
