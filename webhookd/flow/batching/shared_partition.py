"""One partition that is read once for all lanes that follow it.

    a lane      begins to follow at a position that the reader has not passed; it takes records from there on
    a record    is decoded and matched once; only the lanes that want it are touched
    position    moves once for all lanes (offsets/read_position.py)
    a lane      leaves at the reader's position, where its own consumer continues

What cannot be decided for several lanes at once (a record that cannot be decoded, a filter that fails on it) is decided
lane by lane, by the code that also decides for a lane with its own consumer. So it makes no difference to a lane, its
ledger and its dead letters who reads. With a single lane everything is decided that way, which costs the least.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Generic

from webhookd.flow.authorization.record_view import Message
from webhookd.flow.authorization.shared_matching import Selection, SharedMatching
from webhookd.flow.authorization.topic_matcher import TopicMatcher
from webhookd.flow.batching.envelope import Envelope
from webhookd.flow.batching.follower import Follower, ReadCounts
from webhookd.flow.batching.lane import DeliveryT, Lane
from webhookd.flow.batching.message import UNDECODABLE
from webhookd.flow.offsets.position import Partition, next_offset
from webhookd.flow.offsets.read_position import ReadPosition


class SharedPartition(Generic[DeliveryT]):
    """The lanes that follow one partition, by subscription; owned by the ingest loop's thread.

    `matching` has the policies and filters of their subscriptions for the topic.
    """

    def __init__(self, partition: Partition, offset: int, matching: SharedMatching[str]) -> None:
        self.partition = partition
        self.position = ReadPosition(offset)
        self.followers: dict[str, Follower[DeliveryT]] = {}
        self._matching = matching
        self._envelope = Envelope(partition.topic, partition.number)
        self._records = 0
        self._denials: defaultdict[int, int] = defaultdict(int)
        self._ahead: dict[str, Follower[DeliveryT]] = {}
        self._undecided: dict[str, Follower[DeliveryT]] = {}
        self._touched: dict[str, Follower[DeliveryT]] = {}

    def add(self, lane: Lane[DeliveryT], matcher: TopicMatcher) -> None:
        """Let a lane follow. Raises ValueError if the reader is past the lane's position."""
        lane.follow(self.position)
        id_ = lane.subscription_id
        follower = self._ahead[id_] = self.followers[id_] = Follower(lane, matcher, self._matching.group(id_))
        self._begin_reached(self.position.offset)
        follower.records_at = self._records

    def remove(self, subscription_id: str) -> None:
        """Let a lane leave; its position is then the reader's, or its own if the reader has not reached that."""
        follower = self.followers.pop(subscription_id)
        for some in (self._ahead, self._undecided, self._touched):
            some.pop(subscription_id, None)
        if follower.lane.ledger.followed is self.position:
            follower.lane.ledger.unfollow()

    def take(self, messages: Sequence[Message], now: float) -> Collection[Follower[DeliveryT]]:
        """Take messages in the order of their offsets; returns the followers that were touched.

        Messages that were read before are skipped. A follower that does not follow any more must be removed.
        """
        self._touched = {}
        unread = [message for message in messages if (message.offset() or 0) >= self.position.offset]
        while unread:
            until = self._begin_reached(unread[0].offset() or 0)
            part = unread if until is None else [message for message in unread if (message.offset() or 0) < until]
            self._take_all(part, now)
            self._count_left(part)
            unread = unread[len(part) :]
        return self._touched.values()

    def reach_end(self, offset: int) -> None:
        """Note that all below `offset` was read, and no more can be read now."""
        self.position.reach_end(offset)
        self._begin_reached(self.position.offset)

    def take_counts(self, subscription_id: str) -> ReadCounts:
        """Return what became of a lane's records since the last call, or since it follows."""
        follower = self.followers[subscription_id]
        counts, follower.counts = follower.counts, ReadCounts()
        if subscription_id not in self._ahead:
            counts.read += self._records - follower.records_at
            counts.denied = self._denials[follower.group] - follower.denials_at
            self._count_from_here(follower)
        return counts

    def _count_left(self, messages: Sequence[Message]) -> None:
        """Do not count for lanes that have left in the middle of these messages what they have not read."""
        for follower in self._touched.values():
            ledger = follower.lane.ledger
            if ledger.followed is not self.position:
                follower.counts.read -= sum((message.offset() or 0) >= ledger.position for message in messages)

    def _count_from_here(self, follower: Follower[DeliveryT]) -> None:
        follower.records_at, follower.denials_at = self._records, self._denials[follower.group]

    def _begin_reached(self, offset: int) -> int | None:
        """Let the lanes that are ahead of the reader take records from `offset` on, if this is where they are.

        Returns the next position at which one of the others is.
        """
        if not self._ahead:
            return None
        for id_, follower in list(self._ahead.items()):
            if follower.lane.ledger.own_position <= offset:
                del self._ahead[id_]
                self._count_from_here(follower)
        return min((one.lane.ledger.own_position for one in self._ahead.values()), default=None)

    def _take_all(self, messages: Sequence[Message], now: float) -> None:
        if len(self.followers) == 1 and not self._ahead:
            ((id_, follower),) = self.followers.items()
            self._denials[follower.group] += self._decide(id_, messages, now)
        else:
            for message in messages:
                self._take(message, now)
        self._records += len(messages)
        self.position.offset = next_offset(messages[-1].offset() or 0)

    def _take(self, message: Message, now: float) -> None:
        undecided = list(self._undecided)
        for selection in self._matching.match(message, self._denials):
            if selection.wanted:
                self._accept(message, selection, now)
            for id_ in selection.undecided:
                if id_ not in self._undecided:
                    self._decide(id_, (message,), now)
        for id_ in undecided:
            self._decide(id_, (message,), now)

    def _accept(self, message: Message, selection: Selection[str], now: float) -> None:
        wanted = [id_ for id_ in selection.wanted if self._takes_part(id_) and id_ not in self._undecided]
        if not wanted:
            return
        offset, envelope, record = message.offset() or 0, self._envelope, selection.record
        envelope.traced = False
        try:
            text = envelope.render(offset, message.timestamp()[1], record.key(), record.headers(), record.value())
        except UNDECODABLE:
            for id_ in wanted:
                self._decide(id_, (message,), now)
            return
        for id_ in wanted:
            follower = self._touched[id_] = self.followers[id_]
            follower.lane.accept(offset, text, now, traced=envelope.traced)
            follower.counts.matched += 1

    def _takes_part(self, id_: str) -> bool:
        """Whether a lane takes the records that come now: it follows here, was not rewound, and is not ahead."""
        follower = self.followers.get(id_)
        return follower is not None and id_ not in self._ahead and follower.lane.ledger.followed is self.position

    def _decide(self, id_: str, messages: Sequence[Message], now: float) -> int:
        """Let a lane's own matcher decide about messages; returns how many were denied."""
        if not self._takes_part(id_):
            return 0
        follower = self._touched[id_] = self.followers[id_]
        denied = follower.decide(messages, now)
        if follower.undecided:
            self._undecided[id_] = follower
        else:
            self._undecided.pop(id_, None)
        return denied
