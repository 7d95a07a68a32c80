"""Which of the endpoints that are due are asked now, for the consent to the requests of their subscriptions.

Many may be due at once: those of all subscriptions that wait for a consent, after a restart. They are asked a few at a
time, so that the tasks of deliveries do not wait behind theirs, and workers do not open a connection to each at once.

tenants take turns, each with the endpoint that has been due the longest
a tenant without an open question waits for nobody else's endpoint, however many questions are open
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

ASKED_AT_ONCE = 20
"""The most questions that begin in one check."""

OPEN_AT_ONCE = 100
"""How many questions of one ingest process may be open; beyond that a tenant has at most one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueQuestion:
    """The endpoint of a subscription is to be asked, since `due_at` (monotonic seconds)."""

    subscription: str
    tenant: str
    due_at: float


def next_questions(due: Iterable[DueQuestion], open_tenants: Iterable[str]) -> list[str]:
    """The subscriptions whose endpoints are asked now; `open_tenants` has the tenant of each open question."""
    open_of = Counter(open_tenants)
    total = open_of.total()
    turns: list[tuple[int, str]] = []
    for question in sorted(due, key=lambda question: question.due_at):
        turns.append((open_of[question.tenant], question.subscription))
        open_of[question.tenant] += 1
    turns.sort(key=lambda turn: turn[0])  # stable: of one turn, the endpoint that has been due the longest is first
    return [
        subscription
        for begun, (others, subscription) in enumerate(turns[:ASKED_AT_ONCE])
        if not others or total + begun < OPEN_AT_ONCE
    ]
