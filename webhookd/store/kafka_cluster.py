"""The id of the Kafka cluster that this database belongs to. Every function works inside the caller's transaction.

The first process that reaches Kafka writes the cluster's id; every other process must find the same id. An operator who
changes the cluster on purpose deletes the id (`webhookd cluster --forget`), and the next process to start writes the
new one.
"""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from webhookd.store.dialects import DatabaseNow, insert_if_new
from webhookd.store.tables import KafkaClusterRow

ROW = 1
"""There is one cluster, so there is one row."""


def recorded(session: Session) -> str | None:
    """The stored id; None before the first process has reached Kafka."""
    return session.scalar(select(KafkaClusterRow.cluster_id).where(KafkaClusterRow.id == ROW))


def record(session: Session, cluster_id: str) -> str:
    """Store this id unless there is one; returns the stored one."""
    known = recorded(session)
    if known is not None:
        return known
    now = session.scalar(select(DatabaseNow()))
    insert_if_new(session, KafkaClusterRow, {"id": ROW, "cluster_id": cluster_id, "recorded_at": now})
    return recorded(session) or cluster_id


def forget(session: Session) -> None:
    """Delete the stored id; the next process that reaches Kafka stores its cluster's id."""
    session.execute(delete(KafkaClusterRow).where(KafkaClusterRow.id == ROW))


def mismatch(found: str, expected: str) -> str:
    """The error text for the operator: both cluster ids, and the command that changes the stored one."""
    return (
        f"the brokers are Kafka cluster {found or '(without an id)'}, the database belongs to cluster {expected}; "
        "`webhookd cluster --forget` lets it belong to another one"
    )
