"""The limits of an exchange loop that are not settings, and the origin of a connection."""

from collections.abc import Hashable
from dataclasses import dataclass

Origin = tuple[bool, str, int, Hashable | None]
"""TLS or not, host, port, and the TLS context of a subscription that has its own. Connections of one origin are
interchangeable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long one loop waits, and how much it keeps and reads, at most.

    The times are timeouts for the endpoints' servers; tests make them short. `response_bytes` comes from the setting of
    the same name.
    """

    response_bytes: int = 16 * 1024  # kept of a response body
    drained_bytes: int = 256 * 1024  # read beyond that to keep the connection usable; past it the connection is closed
    head_bytes: int = 16 * 1024  # of a response head; more is a failure
    interim_responses: int = 8  # 1xx responses before the final one; more is a failure
    # From the status line on, which has already decided the outcome: the lane and a worker's thread wait for the rest
    # (only shown to people, and needed to use the connection again), also behind an event stream, which never ends.
    rest_wait_s: float = 1.0
    connect_timeout_s: float = 5.0  # for one address, proxy and handshake included
    attempt_delay_s: float = 0.25  # from one address to the next, while the first one still waits (RFC 8305 §5)
    lookup_timeout_s: float = 5.0  # getaddrinfo itself has no timeout
    lookup_threads: int = 64  # started on demand; a host that hangs holds one of them
    addresses_tried: int = 16  # of one name: with the delay, the last one starts within `connect_timeout_s`
    idle_timeout_s: float = 30.0  # shorter than the usual idle timeout of load balancers (60 s)
    connection_age_s: float = 3600.0  # from its first response; then a new connection is opened
    idle_per_origin: int = 256  # idle connections kept: as many as one task may need at once
    idle_total: int = 1024
    sweep_interval_s: float = 0.05  # how late a deadline may fire
