"""When an ingest process may confirm a version of the policies: nothing rendered under an older one can still be sent.

    step                                              it is over when
    1  subscriptions run under the new version        the loop has stopped the old ones, before it is requested here
    2  the old epochs are revoked in Redis, also      the publisher's thread has done it, in the order of its jobs
       those of processes that were killed
    3  a marker is sent to this process's own         the marker is read: every claim before step 2 has been reported
       reports                                        before it, and after step 2 no old delivery can be claimed
    4  deliveries that workers had claimed end        their last report is read, or their lease and deadline are over
    5  copies of dead letters that were withdrawn     the attempt that had begun is over
       end

While Redis is down, steps 2 and 3 wait. A marker that is lost is sent again.
"""

from collections.abc import Callable

from webhookd.flow.settlement.in_flight import InFlightDeliveries

MARKER_TIMEOUT_S = 2.0
"""A marker that has not been read for this long is sent again. It takes a few milliseconds."""

Confirmed = Callable[[int], None]


class PolicyConfirmation:
    """Owned by the ingest loop's thread; `new_token` makes markers. `copies_ended` says whether step 5 is over.

    `mark` sends a report about an id to this process, after the revocations that were requested before; it returns at
    once.
    """

    def __init__(
        self,
        in_flight: InFlightDeliveries,
        mark: Callable[[str], None],
        monotonic: Callable[[], float],
        new_token: Callable[[], str],
        copies_ended: Callable[[], bool],
    ) -> None:
        self._copies_ended = copies_ended
        self._in_flight = in_flight
        self._send_marker = mark
        self._monotonic = monotonic
        self._new_token = new_token
        self._version = -1
        self._confirmed: Confirmed | None = None
        self._marker = ""
        self._marked_at = 0.0
        self._ending: frozenset[str] = frozenset()

    def request(self, version: int, confirmed: Confirmed) -> None:
        """Call `confirmed` with the version when it may be confirmed; replaces the request before.

        The version may be the same, after subscriptions were taken over from another process. It may be a lower one:
        the database was restored from a backup.
        """
        self._version, self._confirmed = version, confirmed
        self._mark()

    def marker_read(self, id_: str) -> None:
        """A report about a delivery that is not in flight was read: it may be the marker."""
        if self._marker and id_ == self._marker:
            self._marker = ""
            self._ending = self._in_flight.superseded.under_way(self._monotonic())

    def check(self) -> None:
        """Confirm what may be confirmed; call it a few times a second."""
        if self._confirmed is None:
            return
        now = self._monotonic()
        if self._marker:
            if now - self._marked_at >= MARKER_TIMEOUT_S:
                self._mark()
            return
        self._ending &= self._in_flight.superseded.under_way(now)
        if not self._ending and self._copies_ended():
            confirmed, self._confirmed = self._confirmed, None
            confirmed(self._version)

    def _mark(self) -> None:
        self._in_flight.drop_superseded(self._monotonic())
        self._marker, self._marked_at = self._new_token(), self._monotonic()
        self._send_marker(self._marker)
