"""A lane that follows a shared partition: when it may begin, when it must leave, and what became of its records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

from webhookd.flow.authorization.record_view import Message
from webhookd.flow.authorization.topic_matcher import TopicMatcher
from webhookd.flow.batching.lane import DeliveryT, Lane
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.position import UNREAD

UNDECODABLE_IN_A_ROW = 10
"""With so many a lane leaves: it may have to look ahead soon (undecodable_records.py), with its own consumer."""


def may_follow(lane: Lane[DeliveryT]) -> bool:
    """Whether a lane has no difficulty that needs its own consumer.

    It reads and delivers, knows its position in its topic, and its last record could be decoded.
    """
    return (
        not (lane.paused or lane.failing or lane.awaiting_seek or lane.dead_letters_full)
        and lane.position_known
        and lane.topic_confirmed
        and lane.undecodable_run.count == 0
        and lane.ledger.position != UNREAD
    )


@dataclass(slots=True)
class ReadCounts:
    """How many records of a lane were read, and what became of them."""

    read: int = 0
    matched: int = 0
    denied: int = 0
    undeliverable: int = 0

    @property
    def filtered(self) -> int:
        """How many its filters have dropped."""
        return self.read - self.matched - self.denied - self.undeliverable


class Follower(Generic[DeliveryT]):
    """One lane of a shared partition; `matcher` is that of its subscription and topic.

    `counts` has what was counted for this lane alone; the others are differences of the partition's counters since
    `records_at` and `denials_at`. `dead_letters` wait for the caller.
    """

    __slots__ = ("counts", "dead_letters", "denials_at", "group", "lane", "matcher", "records_at")

    def __init__(self, lane: Lane[DeliveryT], matcher: TopicMatcher, group: int) -> None:
        self.lane = lane
        self.matcher = matcher
        self.group = group
        self.counts = ReadCounts()
        self.records_at = self.denials_at = 0
        self.dead_letters: list[DeadLetter] = []

    @property
    def undecided(self) -> bool:
        """Whether its last record could not be decoded: until one can, its own matcher decides about each record."""
        return self.lane.undecodable_run.count > 0

    def decide(self, messages: Sequence[Message], now: float) -> int:
        """Take records as the lane does without a shared partition: by its own matcher. It may stop following then.

        Returns how many were denied.
        """
        lane, matcher, counts = self.lane, self.matcher, self.counts
        denied, waiting = matcher.denied, len(lane.waiting)
        _, dead_letters = lane.take(matcher.views(messages), matcher, now)
        counts.matched += len(lane.waiting) - waiting
        counts.undeliverable += len(dead_letters)
        self.dead_letters += dead_letters
        if lane.awaiting_seek or lane.undecodable_run.count >= UNDECODABLE_IN_A_ROW:
            lane.ledger.unfollow()
        return matcher.denied - denied

    def take_dead_letters(self) -> list[DeadLetter]:
        """Return the new dead letters."""
        taken, self.dead_letters = self.dead_letters, []
        return taken
