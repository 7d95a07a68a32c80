"""Which Kafka cluster this database is about. Every function works inside the caller's transaction.

The first process that reaches Kafka writes the cluster's id; every other one must find the same. An operator who
changes the cluster on purpose forgets it (`webhookd cluster --forget`), and the next process to start writes the new
one.
"""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from webhookd.store.dialects import DatabaseNow, insert_if_new
from webhookd.store.tables import KafkaClusterRow

ROW = 1
"""There is one cluster, so there is one row."""


def recorded(session: Session) -> str | None:
    """The id that was written; None before the first process has reached Kafka."""
    return session.scalar(select(KafkaClusterRow.cluster_id).where(KafkaClusterRow.id == ROW))


def record(session: Session, cluster_id: str) -> str:
    """Write this id unless there is one; returns the one that counts."""
    known = recorded(session)
    if known is not None:
        return known
    now = session.scalar(select(DatabaseNow()))
    insert_if_new(session, KafkaClusterRow, {"id": ROW, "cluster_id": cluster_id, "recorded_at": now})
    return recorded(session) or cluster_id


def forget(session: Session) -> None:
    """Let the next process that reaches Kafka write its cluster's id."""
    session.execute(delete(KafkaClusterRow).where(KafkaClusterRow.id == ROW))


def mismatch(found: str, expected: str) -> str:
    """What to tell the operator: both clusters by their ids, and the way out."""
    return (
        f"the brokers are Kafka cluster {found or '(without an id)'}, the database is about cluster {expected}; "
        "`webhookd cluster --forget` lets it be about another one"
    )
