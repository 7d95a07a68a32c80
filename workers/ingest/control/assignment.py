"""Decides which subscriptions this process runs, from what it reads in the database.

It reads the heartbeats of all ingest processes, the subscriptions that have changed and the offline switch: once a
second, and at once after a change notification. While the database cannot be read, everything stays as it was. A
process that cannot reach Kafka leaves its subscriptions to processes that can (flow/control/membership.py).

It reads the policies together with the subscriptions (control/policies_in_use.py). What it reads under two versions of
them is not used, but read again at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread
from typing import Protocol

from sqlalchemy.orm import Session

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.errors import StoreUnavailable
from webhookd.flow.control.administration import Administration
from webhookd.flow.control.change_notification import ChangeNotification
from webhookd.flow.control.membership import Member, participants, takes_part
from webhookd.flow.control.rendezvous import owner
from webhookd.flow.monitoring.kafka_reachability import KafkaReachability
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import Subscription
from webhookd.metrics.catalogue.ingest import LIVE_INGESTS, OFFLINE
from webhookd.store import administration, ingest_members, policies, subscription_statuses, subscriptions
from webhookd.store.database import Database
from webhookd.store.subscriptions import Loaded
from workers.ingest.control.policies_in_use import PoliciesInUse

FIRST_REQUEST_S = 4.0
"""The first heartbeat waits this long for the end of the first request to Kafka: a process that cannot reach Kafka must
not take subscriptions from one that can. This is longer than such a request takes."""

_log = logs.get(__name__)


class Kafka(Protocol):
    """Whether this process can reach Kafka."""

    @property
    def reachability(self) -> KafkaReachability:
        """The results of the requests so far."""

    def wait_first_probe(self, timeout_s: float) -> bool:
        """Wait until the first request has ended."""


class SubscriptionRunner(Protocol):
    """Starts and stops the subscriptions of this process; called on the assignment thread."""

    def run(self, id_: str, version: int, found: Loaded, previous: SubscriptionStatus | None) -> None:
        """Run this version, or show why it cannot run; `previous` is its status as last written."""

    def leave(self, id_: str) -> None:
        """Stop the subscription: it was deleted, or another process runs it from now on."""

    def hold(self, id_: str, detail: str) -> None:
        """Stop the subscription because its policies could not be read for too long; `run` starts it again."""

    def withdraw_copies(self, is_current: Callable[[Subscription], bool], withdrawn: Callable[[], None]) -> None:
        """Drop the copies of dead letters that wait, of subscriptions that are not current; then call `withdrawn`."""

    def confirm_policies(self, version: int, confirmed: Callable[[int], None]) -> None:
        """Call `confirmed`, on any thread, when all that was called before is done and nothing older can be sent."""

    def go_offline(self, age_s: float) -> None:
        """The service was switched offline `age_s` ago: stop everything, and start nothing before `go_online`."""

    def go_online(self) -> None:
        """The service is online again: run the subscriptions of this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """This process as one of the ingest processes: its id, and when a process no longer takes part.

    That is when its last heartbeat is older than `timeout_s`, or when it has not reached Kafka for `kafka_timeout_s`
    (the setting `ingest_kafka_timeout_s`).
    """

    id: str
    timeout_s: float
    kafka_timeout_s: float
    monotonic: Monotonic


class SubscriptionAssignment:
    """Two threads: one reads the database, the other listens for change notifications and makes it read at once."""

    def __init__(
        self,
        database: Database,
        runner: SubscriptionRunner,
        kafka: Kafka,
        *,
        member: Membership,
        interval_s: float,
        listen: Callable[[Callable[[ChangeNotification], None], Event], None],
        in_use: PoliciesInUse,
    ) -> None:
        self._in_use = in_use
        self._database = database
        self._runner = runner
        self._kafka = kafka
        self._member = member
        self._takes_part = True
        self._withdrawn = False
        self._interval_s = interval_s
        self._known: dict[str, int] = {}
        self.sharing_count = 1
        """How many ingest processes shared the subscriptions when the database was read last."""
        self._offline = False
        self._stop = Event()
        self._wake = Event()
        self._threads = [
            Thread(target=self._run, name="assignment", daemon=True),
            Thread(target=lambda: listen(self._on_change, self._stop), name="change-notifications", daemon=True),
        ]

    def start(self) -> None:
        """Start both threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both threads, and take part no more, so that others need not wait for the timeout. Blocks.

        The row stays until `leave`: what this process has published under its policies may still be sent.
        """
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(5.0)
        self._try(self._withdraw)

    def leave(self) -> None:
        """Delete the row of this process: nothing that it has rendered can be sent or copied any more. Blocks."""
        if self._withdrawn:  # otherwise the database does not answer, and the others leave it out by its age
            self._try(self._delete)

    def _withdraw(self) -> None:
        with self._database.transaction() as session:
            confirmed = self._in_use.confirmed_to(policies.version(session))
            ingest_members.heartbeat(session, Member(id=self._member.id, takes_part=False), confirmed)
        self._withdrawn = True

    def _delete(self) -> None:
        with self._database.transaction() as session:
            ingest_members.leave(session, self._member.id)
            ingest_members.delete_expired(session)

    def _on_change(self, _notification: ChangeNotification) -> None:
        self._wake.set()

    def _run(self) -> None:
        self._try(self._announce)
        self._kafka.wait_first_probe(FIRST_REQUEST_S)
        while not self._stop.is_set():
            self._wake.clear()
            self._try(self._read)
            self._hold_if_outdated()
            self._wake.wait(self._interval_s)

    def _try(self, use_database: Callable[[], None]) -> None:
        try:
            use_database()
        except StoreUnavailable as error:
            LIVE_INGESTS.set(0)  # the last number would hide that nobody can read the database
            _log.warning("store_unavailable", code=error.code, detail=error.detail)
        except Exception:  # noqa: BLE001 - the top of the thread: the next read may succeed
            _log.exception("assignment_failed")

    def _announce(self) -> None:
        """Write a heartbeat of a process that takes no subscriptions yet, so that nobody thinks that none runs."""
        with self._database.transaction() as session:
            ingest_members.heartbeat(session, Member(id=self._member.id, takes_part=False))

    def _read(self) -> None:
        with self._database.transaction() as session:
            version = policies.version(session)
            sharing = self._heartbeat(session, version)
            switch = administration.read(session)
            versions = subscriptions.versions(session)
            ours = {id_: v for id_, v in versions.items() if owner(id_, sharing) == self._member.id}
            changed = {id_: v for id_, v in ours.items() if self._known.get(id_) != v}
            loaded = subscriptions.load(session, list(changed)) if changed else {}
            before = subscription_statuses.read_all(session, list(loaded)) if loaded else {}
            consistent = self._in_use.read(session, version)
        self.sharing_count = len(sharing)
        self._apply_switch(switch)
        if not consistent:
            self._wake.set()
            return
        for id_ in [id_ for id_ in self._known if id_ not in ours]:
            del self._known[id_]
            self._runner.leave(id_)
        for id_, found in loaded.items():
            self._known[id_] = found.version if isinstance(found, Subscription) else changed[id_]
            self._runner.run(id_, self._known[id_], self._in_use.applied_to(found), before.get(id_))
        self._in_use.forget_all_but(ours)
        if self._in_use.confirmation_due():
            self._runner.withdraw_copies(
                self._in_use.apply_to, partial(self._in_use.copies_withdrawn, self._in_use.version)
            )
            confirmed = partial(self._confirmed, self._in_use.confirmation_number)
            self._runner.confirm_policies(self._in_use.version, confirmed)

    def _confirmed(self, confirmation_number: int, version: int) -> None:
        self._in_use.confirm(version, confirmation_number)
        self._wake.set()

    def _hold_if_outdated(self) -> None:
        """Stop the subscriptions under a policy when the policies are too old; the next read starts them again."""
        for id_ in self._in_use.outdated():
            self._known.pop(id_, None)
            self._runner.hold(id_, self._in_use.age_text)

    def _heartbeat(self, session: Session, version: int) -> list[str]:
        """Write the heartbeat; returns the ids of the processes among which the subscriptions are divided.

        `version` is that of the policies in the database.
        """
        now, reachability = self._member.monotonic(), self._kafka.reachability
        present = ingest_members.present(session, self._member.timeout_s)
        others = [other for other in present if other.id != self._member.id]
        LIVE_INGESTS.set(len(others) + 1)
        before = self._takes_part
        bound_s = self._member.kafka_timeout_s
        self._takes_part = takes_part(reachability, others, now, before=before, lost_s=bound_s)
        own = Member(id=self._member.id, takes_part=self._takes_part, reachable_s=reachability.reachable_s(now))
        ingest_members.heartbeat(session, own, self._in_use.confirmed_to(version))
        if self._takes_part != before:
            _log.warning("membership_changed", reads=own.takes_part, silent_s=round(reachability.unreachable_s(now), 3))
        return participants([*others, own])

    def _apply_switch(self, switch: Administration) -> None:
        OFFLINE.set(switch.offline)
        if switch.offline == self._offline:
            return
        self._offline = switch.offline
        if switch.offline:
            self._runner.go_offline(switch.age_s)
        else:
            self._runner.go_online()
