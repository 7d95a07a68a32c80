"""How the receiver fails: which share of requests, in which way, and from when to when."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FaultKind = Literal["error", "limit", "timeout", "slow"]

FIELDS_OF_KINDS = {"status": "error", "retry_after_s": "limit", "delay_s": "slow"}
"""Fields that only one kind has."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of failure.

    error       answers `status`
    limit       answers 429 with Retry-After: `retry_after_s`
    timeout     never answers
    slow        answers 200 after `delay_s`

    `share` of the requests have it, chosen at random with a fixed seed (fault_choice.py), while `from_s` ≤ time since
    the load began < `to_s` (None: to the end). `path` is the beginning of the request paths that have it; empty: all.

    Raises ValueError, in a decoder msgspec.ValidationError, for a field that another kind has, or a time that is over
    before it begins.
    """

    kind: FaultKind
    share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    status: Annotated[int, Meta(ge=300, le=599)] = 500
    retry_after_s: Annotated[int, Meta(ge=0)] = 1
    delay_s: Annotated[float, Meta(ge=0, le=3600)] = 1.0
    from_s: Annotated[float, Meta(ge=0)] = 0.0
    to_s: float | None = None
    path: str = ""

    def __post_init__(self) -> None:
        for field, kind in FIELDS_OF_KINDS.items():
            if self.kind != kind and getattr(self, field) != _DEFAULTS[field]:
                raise ValueError(f"`{field}` is for the kind `{kind}`, not for `{self.kind}`")
        if self.to_s is not None and self.to_s <= self.from_s:
            raise ValueError(f"`to_s` {self.to_s:g} is not after `from_s` {self.from_s:g}")


_DEFAULTS = {one.name: one.default for one in msgspec.structs.fields(Fault)}
