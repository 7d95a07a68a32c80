"""Passes decisions of the subscription assignment and results of the Kafka watch on to the ingest loop.

decision or result                     then
run, leave                             a subscription starts, or stops
a topic of it is not allowed           it stops and becomes unhealthy until every topic is allowed again
its policies are too old               likewise, until the policies can be read again
the service goes offline               everything stops; see running_subscriptions.py
the cluster is not confirmed yet       nothing starts: the brokers may not be the database's cluster
online, and the cluster is confirmed   the waiting subscriptions start
the brokers are another cluster        nothing is read or committed any more, and the process ends
"""

from collections.abc import Callable
from functools import partial

from webhookd import clock, logs
from webhookd.errors import ClusterMismatch, UnusableSubscription
from webhookd.flow.control.administration import SETTLE_WITHIN_S
from webhookd.flow.control.membership import STEADY_S
from webhookd.flow.monitoring.kafka_reachability import KafkaReachability
from webhookd.flow.status.problem import Problem
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus, unhealthy
from webhookd.flow.subscription import Subscription
from webhookd.store.subscriptions import Loaded
from workers.ingest.consumer.subscription_health import NOT_ALLOWED, POLICIES_OUTDATED
from workers.ingest.loop import IngestLoop
from workers.ingest.monitoring import kafka_outage_statuses
from workers.ingest.settlement.database_writer import DatabaseWriter

OFFLINE, UNCONFIRMED = "offline", "unconfirmed"
"""Why nothing runs: the service is offline, or it is not known yet whether the brokers are the database's cluster."""

_log = logs.get(__name__)


class LoopCommands:
    """Public methods may be called from any thread: they return at once and act on the loop's thread.

    `reachability` returns the results of the requests to Kafka so far. Kafka counts as lost after `kafka_timeout_s`.
    `mismatched` is called if the brokers are not the database's cluster: the process must end.
    """

    def __init__(
        self,
        loop: IngestLoop,
        writer: DatabaseWriter,
        *,
        reachability: Callable[[], KafkaReachability],
        kafka_timeout_s: float,
        mismatched: Callable[[ClusterMismatch], None],
    ) -> None:
        self._loop = loop
        self._writer = writer
        self._reachability = reachability
        self._kafka_timeout_s = kafka_timeout_s
        self._mismatched = mismatched
        self._offline_reasons = {UNCONFIRMED}

    @property
    def cluster_confirmed(self) -> bool:
        """Whether the brokers are known to be the database's cluster."""
        return UNCONFIRMED not in self._offline_reasons

    def run(self, id_: str, version: int, found: Loaded, previous: SubscriptionStatus | None) -> None:
        """Run this version of a subscription; one that cannot be used becomes unhealthy with the reason."""
        match found:
            case UnusableSubscription():
                self._mark_unusable(id_, version, found, previous)
            case Subscription(active=False):
                self.leave(id_)
            case Subscription(topics_not_allowed=topics) if topics:
                detail = f"no policy allows tenant {found.tenant} to read {', '.join(topics)}"
                problem = Problem(code=NOT_ALLOWED, detail=detail, since=clock.wall_clock())
                self._loop.call(partial(self._loop.subscriptions.hold, id_, version, problem, previous))
            case _:
                self._loop.call(partial(self._start, found, previous))

    def leave(self, id_: str) -> None:
        """Stop running a subscription. Its consumer commits a last time, unless Kafka is lost."""
        self._loop.call(self._update_kafka_lost)
        self._loop.call(partial(self._loop.subscriptions.stop, id_))

    def hold(self, id_: str, detail: str) -> None:
        """Stop a subscription whose policies could not be read for too long; `run` starts it again."""
        problem = Problem(code=POLICIES_OUTDATED, detail=detail, since=clock.wall_clock())
        self._loop.call(partial(self._hold_running, id_, problem))

    def withdraw_copies(self, is_current: Callable[[Subscription], bool], withdrawn: Callable[[], None]) -> None:
        """Drop the waiting copies of dead letters of subscriptions that are not current; then call `withdrawn`.

        That is after all commands before have been carried out: what they have stopped adds no copies any more.
        """
        self._loop.call(lambda: self._loop.dead_letters.withdraw_copies(is_current))
        self._loop.call(withdrawn)

    def confirm_policies(self, version: int, confirmed: Callable[[int], None]) -> None:
        """Call `confirmed` on the loop's thread when nothing of an older version of the policies can be sent any more.

        That is after all commands before have been carried out (flow/settlement/policy_confirmation.py).
        """
        self._loop.call(self._loop.subscriptions.revoke_others)
        self._loop.call(partial(self._loop.policy_confirmation.request, version, confirmed))

    def go_offline(self, age_s: float) -> None:
        """Stop everything; in-flight deliveries may be settled until SETTLE_WITHIN_S after the switch, `age_s` ago."""
        _log.warning("went_offline", age_s=round(age_s, 3))
        self._loop.call(partial(self._offline_reasons.add, OFFLINE))
        self._loop.call(partial(self._loop.subscriptions.go_offline, max(0.0, SETTLE_WITHIN_S - age_s)))

    def go_online(self) -> None:
        """Run the subscriptions again, from the committed offsets."""
        _log.warning("went_online")
        self._loop.call(partial(self._remove_reason, OFFLINE))

    def kafka_confirmed(self) -> None:
        """The brokers are the database's cluster: subscriptions may start."""
        _log.info("ingest_ready")
        self._loop.call(partial(self._remove_reason, UNCONFIRMED))

    def kafka_checked(self) -> None:
        """Show in the statuses whether Kafka answers."""
        self._loop.call(self._show_kafka_status)

    def kafka_mismatched(self, error: ClusterMismatch) -> None:
        """The brokers are another cluster: nothing is read from its topics or committed to its groups any more."""
        _log.error("cluster_mismatch", code=error.code, detail=error.detail)
        self._loop.abandon_cluster()
        self._mismatched(error)

    def _show_kafka_status(self) -> None:
        self._update_kafka_lost()
        reachability, now = self._reachability(), clock.monotonic()
        kafka_outage_statuses.update_problem(self._loop.consumers.values(), reachability, now, self._kafka_timeout_s)
        if self._offline_reasons == {UNCONFIRMED}:
            wall_now = clock.wall_clock()
            self._loop.subscriptions.revise_offline(
                lambda item, before: kafka_outage_statuses.status_before_start(
                    item, before, reachability, now, wall_now
                )
            )

    def _update_kafka_lost(self) -> None:
        """Decide whether consumers that close may commit.

        After an outage they may commit only when Kafka has answered for STEADY_S: until then another process may run
        their subscriptions and commit later offsets.
        """
        reachability, now = self._reachability(), clock.monotonic()
        if reachability.unreachable_s(now) >= self._kafka_timeout_s:
            self._loop.subscriptions.kafka_lost = True
        elif reachability.reachable_s(now) >= STEADY_S:
            self._loop.subscriptions.kafka_lost = False

    def _remove_reason(self, reason: str) -> None:
        """Remove a reason to be offline; if it was the last one, start what waits.

        Each start is a call of its own, so that no iteration of the loop takes long.
        """
        self._offline_reasons.discard(reason)
        if self._offline_reasons:
            return
        for subscription, status in self._loop.subscriptions.go_online():
            self._loop.call(partial(self._start_if_wanted, subscription, status))

    def _start_if_wanted(self, subscription: Subscription, previous: SubscriptionStatus | None) -> None:
        if self._loop.subscriptions.is_wanted(subscription):
            self._start(subscription, previous)

    def _start(self, subscription: Subscription, previous: SubscriptionStatus | None) -> None:
        try:
            self._loop.subscriptions.run(subscription, previous)
        except UnusableSubscription as error:
            self._mark_unusable(subscription.id, subscription.version, error, previous)

    def _hold_running(self, id_: str, problem: Problem) -> None:
        running = self._loop.consumers.get(id_)
        if running is None:
            self._loop.subscriptions.stop(id_)  # it may wait for its start
        else:
            self._loop.subscriptions.hold(id_, running.subscription.version, problem, None)

    def _mark_unusable(
        self, id_: str, version: int, error: UnusableSubscription, previous: SubscriptionStatus | None
    ) -> None:
        self.leave(id_)
        _log.error("subscription_unusable", code=error.code, subscription=id_, version=version, detail=error.detail)
        before = previous or SubscriptionStatus(subscription_id=id_, health=Health.HEALTHY)
        self._writer.set_status(unhealthy(before, error.code, error.detail, clock.wall_clock(), version))
        self._loop.call(lambda: self._loop.subscriptions.not_run.update({id_: error.code}))
