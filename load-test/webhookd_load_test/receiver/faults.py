"""How the receiver fails: which share of requests, in which way, and from when to when."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FaultKind = Literal["error", "limit", "timeout", "slow"]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of failure.

    error       answers `status`
    limit       answers 429 with Retry-After: `retry_after_s`
    timeout     never answers
    slow        answers 200 after `delay_s`

    `share` of the requests have it, chosen at random with a fixed seed, while `from_s` ≤ time since the load began
    < `to_s` (None: to the end). `path` is the beginning of the request paths that have it; empty: all.
    """

    kind: FaultKind
    share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    status: Annotated[int, Meta(ge=300, le=599)] = 500
    retry_after_s: Annotated[int, Meta(ge=0)] = 1
    delay_s: Annotated[float, Meta(ge=0)] = 1.0
    from_s: Annotated[float, Meta(ge=0)] = 0.0
    to_s: float | None = None
    path: str = ""
