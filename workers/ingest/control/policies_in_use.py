"""The policies under which an ingest process runs its subscriptions.

the database                             the process
has another version of the policies      reads them, and runs each subscription with its new version under them
is the same                              confirms it again when it has taken over a subscription under a policy: the
                                         process before may have been killed, and workers may still have its deliveries
cannot be read                           goes on under the policies that it knows
cannot be read for `max_age_s`           stops the subscriptions under a policy, and copies no dead letter, until it can
                                         be read again
has a lower version than confirmed       takes its confirmation back: the database was restored from a backup

A change of the policies gives every subscription that it concerns a new version in the same transaction
(store/policies.py). So a subscription whose version is unchanged needs no other policies.
"""

from collections.abc import Collection

from sqlalchemy.orm import Session

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.flow.policy.policy import PolicySet, TopicPolicies
from webhookd.flow.subscription import Subscription
from webhookd.store import policies
from webhookd.store.subscriptions import Loaded

_log = logs.get(__name__)


class PoliciesInUse:
    """Owned by the assignment's thread; `confirm` may be called on any thread.

    `open_without_policy` says whether topics without a policy may be read.
    """

    def __init__(self, *, open_without_policy: bool, max_age_s: float, monotonic: Monotonic) -> None:
        self._open = open_without_policy
        self._max_age_s = max_age_s
        self._monotonic = monotonic
        self._set: PolicySet | None = None
        self._announced: int | None = None
        self._read_at = monotonic()
        self._governed: set[str] = set()
        self._held: set[str] = set()
        self._restricted: set[str] = set()
        self._applied: dict[tuple[str, str], TopicPolicies] = {}
        self._confirmed = 0
        self.confirmation_number = 0
        """Counts the confirmations that were due: another one may become due before one is given."""
        self._copies_under = -1

    @property
    def version(self) -> int:
        """The version of the policies that were read last."""
        return self._set.version if self._set else 0

    @property
    def age_text(self) -> str:
        """For how long the policies could not be read, for people."""
        return f"the policies could not be read for {self._monotonic() - self._read_at:.0f} s"

    @property
    def copies_allowed(self) -> bool:
        """Whether copies of dead letters that still wait may be written now; any thread.

        Not if the policies are too old: this process may have been frozen. And not between reading other policies and
        withdrawing the copies to which they no longer apply.
        """
        return self._copies_under == self.version and not self._too_old

    def may_publish(self, subscription_id: str) -> bool:
        """Whether deliveries of a subscription may be published now: not under policies that are too old; any thread.

        It is held then, but a process that was frozen has not noticed yet.
        """
        return subscription_id not in self._governed or not self._too_old

    def copies_withdrawn(self, version: int) -> None:
        """All copies that wait were rendered under what this version says; any thread."""
        self._copies_under = version

    def apply_to(self, subscription: Subscription) -> bool:
        """Whether the policies read last show of each topic what those of the subscription show; any thread."""
        present = subscription.under(self._set or PolicySet(), open_without_policy=self._open).policies
        return all(applied.same_effect(present[topic]) for topic, applied in subscription.policies.items())

    def confirm(self, version: int, confirmation_number: int) -> None:
        """From now on this process delivers under this version alone, unless another confirmation is due by now."""
        if confirmation_number == self.confirmation_number:
            self._confirmed = version

    def confirmed_to(self, version: int) -> int:
        """The version that this process confirms to a database with this one.

        If that has gone back behind the confirmed version (a restore), nothing is confirmed until the next `confirm`:
        what was confirmed before must not stand for later policies with the same number.
        """
        if self._confirmed > version:
            self._confirmed = 0
        return self._confirmed

    def read(self, session: Session, version: int) -> bool:
        """Read the policies if they have another version than the ones known.

        `version` was read in this transaction before everything else. Returns False if they have changed since then:
        what was read in between is of either version.
        """
        if self._set is None or self._set.version != version:
            found = policies.read(session)
            if found.version != version:
                return False
            self._set, self._applied = found, {}
        elif policies.version(session) != version:
            return False
        self._read_at = self._monotonic()
        return True

    def applied_to(self, found: Loaded) -> Loaded:
        """The subscription with what the policies allow its tenant to see of each topic."""
        if not isinstance(found, Subscription):
            return found
        subscription = found.with_policies(
            {one.topic: self._of_topic(found.tenant, one.topic) for one in found.sources}
        )
        self._held.discard(found.id)
        (self._governed.add if subscription.governed else self._governed.discard)(found.id)
        if not subscription.governed and not subscription.topics_not_allowed:
            self._restricted.discard(found.id)
        elif found.id not in self._restricted:
            self._restricted.add(found.id)
            self._announced, self._confirmed = None, 0
        return subscription

    def forget_all_but(self, ids: Collection[str]) -> None:
        """Forget the subscriptions that this process does not run any more."""
        self._governed.intersection_update(ids)
        self._held.intersection_update(ids)
        self._restricted.intersection_update(ids)

    def confirmation_due(self) -> bool:
        """Whether the version has to be confirmed: for the first time, or again after a takeover."""
        if self._announced == self.version:
            return False
        self._announced = self.version
        self.confirmation_number += 1
        return True

    def outdated(self) -> list[str]:
        """The subscriptions under a policy, if the policies are older than allowed; each is returned once."""
        new = self._governed - self._held
        if not new or not self._too_old:
            return []
        _log.error("policies_outdated", subscriptions=len(new), max_age_s=self._max_age_s)
        self._held |= new
        self._restricted -= new
        return sorted(new)

    @property
    def _too_old(self) -> bool:
        return self._monotonic() - self._read_at >= self._max_age_s

    def _of_topic(self, tenant: str, topic: str) -> TopicPolicies:
        known = self._applied.get((tenant, topic))
        if known is None:
            whole = self._set or PolicySet()
            known = whole.of_topic(tenant, topic, open_without_policy=self._open)
            self._applied[tenant, topic] = known
        return known
