"""Maintains consumer groups without members: deletes them, or keeps their offsets from expiring in Kafka.

    group of                   action                        how often
    a deleted subscription     delete the group              at once, and once more after two minutes
    an inactive, offline or    commit its offsets again and  every few hours: brokers delete the offsets of an
    unusable subscription, or  join the group for a moment   empty group after a week, counted from the commit
    one that is not allowed                                  or (classic) from when its last member left

The groups are divided among the ingest processes by rendezvous hashing; it does not matter which process ran the
subscription. A group whose members were killed is empty after its session timeout; until then the deletion is tried
again. A process that was frozen may join the group again before it reads that the subscription was deleted. So the
group is deleted once more after two minutes.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event, Thread
from typing import Protocol

from sqlalchemy.orm import Session

from webhookd import logs
from webhookd.errors import Conflict, KafkaUnavailable, StoreUnavailable, TopicDenied, UpkeepDelayed
from webhookd.flow.control.rendezvous import owner
from webhookd.flow.offsets.position import Committed, Partition
from webhookd.flow.policy.policy import PolicySet
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import Subscription, consumer_group
from webhookd.store import (
    administration,
    dropped_groups,
    ingest_members,
    policies,
    subscription_statuses,
    subscriptions,
)
from webhookd.store.database import Database
from webhookd.store.dropped_groups import DroppedGroup
from webhookd.store.subscriptions import Loaded
from workers.ingest.control.assignment import Membership

ROUND_S = 1.0
REQUEST_TIMEOUT_S = 5.0
JOIN_TIMEOUT_S = 20.0
"""The timeout of joining a group. The first member of a classic group waits three seconds for others."""

DELAYED_S = 3600.0
"""If offsets could not be renewed for this long, there is a fault. Brokers keep them for a week by default."""

FIRST_OFFSETS_S = 60.0
"""The first renewal after the start: processes that do not run for the whole interval must renew offsets too."""

RETRY_S = (1.0, 5.0)
"""The first and the longest wait before a group with members is tried again; it doubles between them."""

REAPPEARS_S = 120.0
"""For this long after its deletion a group may exist again; longer than the session timeout of a frozen member."""

PAGE = 500
FROZEN_S = REQUEST_TIMEOUT_S + 1.0
"""Offsets that took so long to read are not committed again: this process was frozen, and another one may have
committed later offsets meanwhile."""

_log = logs.get(__name__)


class Groups(Protocol):
    """Kafka's consumer groups. Every call blocks, and raises KafkaUnavailable after its timeout."""

    def commits(self, group: str, topics: Sequence[str], timeout_s: float) -> dict[Partition, Committed]:
        """Return what the group has committed in these topics."""

    def recommit(self, group: str, commits: Mapping[Partition, Committed], timeout_s: float) -> None:
        """Commit these offsets and metadata unchanged. Raises Conflict when the group has members."""

    def join_briefly(self, group: str, topics: Sequence[str], protocol: str, timeout_s: float) -> None:
        """Join the group and leave it at once."""

    def delete_group(self, group: str, timeout_s: float) -> None:
        """Delete the group, if it exists. Raises Conflict when it has members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """A group without members, and its topics."""

    group: str
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Wait:
    until: float
    next_s: float


class ConsumerGroupUpkeep:
    """One thread, which may wait for Kafka and the database; each round is `drop_groups`, then `keep_offsets`.

    It does nothing before `ready` returns True.
    """

    def __init__(
        self,
        database: Database,
        groups: Groups,
        *,
        member: Membership,
        offsets_every_s: float,
        protocol: Callable[[], str],
        ready: Callable[[], bool] = lambda: True,
        open_without_policy: bool = True,
    ) -> None:
        self._database = database
        self._groups = groups
        self._member = member
        self._offsets_every_s = offsets_every_s
        self._protocol = protocol
        self._monotonic = member.monotonic
        self._ready = ready
        self._open_without_policy = open_without_policy
        self._offsets_at = member.monotonic() + min(FIRST_OFFSETS_S, offsets_every_s)
        self._idle: deque[Idle] = deque()
        self._waits: dict[str, _Wait] = {}
        self._delayed: dict[str, float] = {}
        self._stop = Event()
        self._thread = Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after its current request. Blocks."""
        self._stop.set()
        self._thread.join(REQUEST_TIMEOUT_S + 1.0)

    def check(self) -> None:
        """Raises UpkeepDelayed when the offsets of a group could not be renewed for DELAYED_S; any thread."""
        now = self._monotonic()
        late = sorted(group for group, since in list(self._delayed.items()) if now - since >= DELAYED_S)
        if late:
            raise UpkeepDelayed(f"{len(late)} groups, {late[0]} among them")

    def drop_groups(self) -> None:
        """Delete the groups of deleted subscriptions that this process has to delete; those with members are kept."""
        now = self._monotonic()
        with self._database.transaction() as session:
            alive = ingest_members.sharing(session, self._member.timeout_s)
            waiting = dropped_groups.waiting(session)
        ours = {group.name: group for group in waiting if owner(group.name, alive) == self._member.id}
        self._waits = {name: wait for name, wait in self._waits.items() if name in ours}
        for group in ours.values():
            if self._stop.is_set():
                return
            if group.name not in self._waits or self._waits[group.name].until <= now:
                self._drop(group, now)

    def keep_offsets(self) -> None:
        """Commit the offsets of groups without members again, unchanged; returns after about a second."""
        began = self._monotonic()
        if began >= self._offsets_at:
            self._offsets_at = began + self._offsets_every_s
            with self._database.transaction() as session:
                self._idle = deque(self._idle_groups(session))
            idle = {item.group for item in self._idle}
            self._delayed = {group: since for group, since in self._delayed.items() if group in idle}
            _log.info("offset_upkeep", groups=len(self._idle))
        while self._idle and not self._stop.is_set() and self._monotonic() - began < ROUND_S:
            self._keep(self._idle.popleft())

    def _run(self) -> None:
        while not self._stop.wait(ROUND_S):
            if not self._ready():
                continue  # the brokers may be those of another cluster
            try:
                self.drop_groups()
                self.keep_offsets()
            except StoreUnavailable as error:
                _log.warning("store_unavailable", code=error.code, detail=error.detail)
            except Exception:  # noqa: BLE001 - the top of the thread: the next round may succeed
                _log.exception("upkeep_failed")

    def _drop(self, group: DroppedGroup, now: float) -> None:
        try:
            self._groups.delete_group(group.name, REQUEST_TIMEOUT_S)
        except (Conflict, KafkaUnavailable) as error:  # it still has a member, or a session that has not timed out
            wait_s = self._waits[group.name].next_s if group.name in self._waits else RETRY_S[0]
            self._waits[group.name] = _Wait(now + wait_s, min(2 * wait_s, RETRY_S[1]))
            _log.info("group_kept", group=group.name, code=error.code, detail=error.detail)
            return
        if group.age_s < REAPPEARS_S:
            _log.info("group_deleted", group=group.name)
            self._waits[group.name] = _Wait(now + REAPPEARS_S - group.age_s, RETRY_S[0])
            return
        with self._database.transaction() as session:
            dropped_groups.remove(session, group.name)

    def _keep(self, idle: Idle) -> None:
        asked_at = self._monotonic()
        try:
            commits = self._groups.commits(idle.group, idle.topics, REQUEST_TIMEOUT_S)
            if not commits:
                self._delayed.pop(idle.group, None)
            if not commits or self._monotonic() - asked_at >= FROZEN_S:
                return
            self._groups.recommit(idle.group, commits, REQUEST_TIMEOUT_S)
            topics = sorted({partition.topic for partition in commits})
            self._groups.join_briefly(idle.group, topics, self._protocol(), JOIN_TIMEOUT_S)
            self._delayed.pop(idle.group, None)
        except Conflict:
            _log.debug("group_runs_again", group=idle.group)
            self._delayed.pop(idle.group, None)
        except TopicDenied as error:  # not tried again before the next renewal, hours from now
            _log.warning("upkeep_refused", group=idle.group, code=error.code, topic=error.topic)
        except KafkaUnavailable as error:
            _log.warning("upkeep_delayed", group=idle.group, code=error.code, detail=error.detail)
            self._delayed.setdefault(idle.group, self._monotonic())
            self._idle.append(idle)
            self._stop.wait(RETRY_S[1])

    def _idle_groups(self, session: Session) -> list[Idle]:
        alive = ingest_members.sharing(session, self._member.timeout_s)
        ids = sorted(id_ for id_ in subscriptions.versions(session) if owner(id_, alive) == self._member.id)
        offline = administration.read(session).offline
        allowed = policies.read(session)
        found: list[Idle] = []
        for page in [ids[first : first + PAGE] for first in range(0, len(ids), PAGE)]:
            known = subscription_statuses.read_all(session, page)
            for id_, loaded in subscriptions.load(session, page).items():
                if offline or not self._runs(loaded, allowed):
                    found.append(Idle(group=consumer_group(id_), topics=_topics(loaded, known.get(id_))))
        return found

    def _runs(self, loaded: Loaded, allowed: PolicySet) -> bool:
        if not isinstance(loaded, Subscription) or not loaded.active:
            return False
        return not loaded.under(allowed, open_without_policy=self._open_without_policy).topics_not_allowed


def _topics(loaded: Loaded, status: SubscriptionStatus | None) -> tuple[str, ...]:
    """Return the topics of a subscription; for one that cannot be loaded, those in its status."""
    if isinstance(loaded, Subscription):
        return tuple(source.topic for source in loaded.sources)
    return tuple(item.topic for item in status.topics) if status else ()
