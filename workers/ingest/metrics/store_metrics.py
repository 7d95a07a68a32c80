"""The metrics that are read from the database: mails that wait, and what expires next."""

from math import inf

from webhookd import logs
from webhookd.clock import WallClock
from webhookd.errors import StoreUnavailable
from webhookd.metrics.catalogue.ingest import API_KEY_EXPIRY, MAILS_WAITING, SIGNING_SECRET_EXPIRY
from webhookd.store import api_keys, mail_outbox, signing_secrets
from webhookd.store.database import Database

EXPIRIES_S = 60.0
"""How often the expiries are read. They are days ahead, and the query visits every subscription."""

_log = logs.get(__name__)


class StoreMetrics:
    """Used by one thread; while the database is down, the last values stay."""

    def __init__(self, database: Database, wall_clock: WallClock) -> None:
        self._database = database
        self._wall_clock = wall_clock
        self._expiries_at = -inf

    def refresh(self) -> None:
        """Read the number of mails; and the expiries, if EXPIRIES_S have passed. Blocks."""
        now = self._wall_clock()
        try:
            with self._database.transaction() as session:
                MAILS_WAITING.set(mail_outbox.waiting(session))
                if abs(now - self._expiries_at) >= EXPIRIES_S:  # also after the clock was set back
                    API_KEY_EXPIRY.set(api_keys.first_expiry(session, now) or 0.0)
                    SIGNING_SECRET_EXPIRY.set(signing_secrets.first_expiry(session, now) or 0.0)
                    self._expiries_at = now
        except StoreUnavailable as error:
            _log.warning("store_unavailable", code=error.code, detail=error.detail)
