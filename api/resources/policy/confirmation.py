"""Waits until every ingest process has confirmed a version of the policies.

an ingest process                                          is
has a heartbeat, and has not confirmed the version         waited for
has had no heartbeat for `ingest_member_timeout_s`         named at once: it was killed, or has lost the database
has had none for longer than `policy_max_age_s` more       left out: it delivers nothing under a policy any more
was stopped by a signal                                    named until its deliveries have ended and its row is gone
"""

from dataclasses import dataclass
from threading import Event
from typing import Final

from api.extensions.callers import transaction
from api.ports import Services
from webhookd import clock, logs
from webhookd.errors import QueueUnavailable, StoreUnavailable
from webhookd.flow.control.change_notification import PoliciesChanged
from webhookd.store import ingest_members
from webhookd.store.ingest_members import Unconfirmed

WAIT_S: Final = 2.0
"""How long the answer to a change waits for the ingest processes."""

POLL_S: Final = 0.05

UNKNOWN: Final = "the database could not be read: it is not known which ingest processes have confirmed the version"

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The processes that have not confirmed a version; `detail` says why it is not confirmed."""

    version: int
    missing: tuple[Unconfirmed, ...] = ()
    detail: str = ""

    @property
    def confirmed(self) -> bool:
        """Whether nothing that was rendered under an older version can be sent any more."""
        return not self.detail


def announce(services: Services, version: int, *, wait_s: float = WAIT_S) -> Confirmation:
    """Notify every process of a new version, and wait up to `wait_s` until the ingest processes have confirmed it.

    The change is stored already, so nothing is raised. Without Redis the processes read the new version about a second
    later, but they cannot confirm it.
    """
    until = clock.monotonic() + wait_s
    try:
        services.notifications.publish(PoliciesChanged(version=version))
    except QueueUnavailable as error:
        _log.warning("change_notification_failed", code=error.code, error=str(error))
    pause = Event()
    while True:
        found = _known(services, version)
        if not _worth_waiting(services, found) or clock.monotonic() >= until:
            return found
        pause.wait(POLL_S)


def confirmation(services: Services, version: int) -> Confirmation:
    """Which processes have confirmed a version by now; raises StoreUnavailable."""
    settings = services.settings
    silent_s = settings.ingest_member_timeout_s + settings.policy_max_age_s
    with transaction(services) as session:
        missing = ingest_members.unconfirmed(session, version, silent_s)
    names = ", ".join(one.id for one in missing)
    detail = f"{len(missing)} ingest processes have not confirmed it: {names}" if missing else ""
    return Confirmation(version=version, missing=tuple(missing), detail=detail)


def _known(services: Services, version: int) -> Confirmation:
    try:
        return confirmation(services, version)
    except StoreUnavailable as error:
        _log.warning("store_unavailable", code=error.code, detail=error.detail)
        return Confirmation(version=version, detail=UNKNOWN)


def _worth_waiting(services: Services, found: Confirmation) -> bool:
    timeout_s = services.settings.ingest_member_timeout_s
    return not found.confirmed and (not found.missing or any(one.silent_s < timeout_s for one in found.missing))
