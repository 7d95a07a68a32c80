"""The bounds of an exchange loop that no operator has to choose, and what they count by."""

from dataclasses import dataclass

Origin = tuple[bool, str, int]
"""TLS or not, host and port: what makes one connection as good as another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one loop waits for, keeps and reads at most.

    Lengths are ends of patience with other people's servers; a test makes them short. `response_bytes` comes from
    the settings of the same name.
    """

    response_bytes: int = 16 * 1024  # kept of a body
    drained_bytes: int = 256 * 1024  # read of a body past that, to save the connection; then it is closed instead
    head_bytes: int = 16 * 1024  # of a response's head; more is a failure
    interim_responses: int = 8  # 1xx before the answer; more is a failure
    connect_timeout_s: float = 5.0  # one address, proxy and handshake included; then the next address
    lookup_timeout_s: float = 5.0  # getaddrinfo itself knows no bound
    lookup_threads: int = 64  # made when they are needed; a host that hangs holds one of them
    addresses_tried: int = 4  # of those one name has
    idle_timeout_s: float = 30.0  # shorter than what balancers usually grant (60 s)
    idle_per_origin: int = 256  # connections kept for the next errand: as many as a parcel may need at once
    idle_total: int = 1024
    sweep_interval_s: float = 0.05  # how late a deadline may fire
