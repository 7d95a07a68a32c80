"""What a run must hold, apart from losing nothing and keeping the order."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Bounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the run must hold, apart from losing nothing and keeping the order.

    drain_s         how long after the last record everything must have arrived and been committed
    duplicates      how many records may arrive again in all; None: any number
    stall_s         the longest time in which a lane had a record and none arrived; None: any. Only for subscriptions
                    whose endpoint does not fail
    flat_memory     whether memory and descriptors of webhookd's processes must not grow
    """

    drain_s: Annotated[float, Meta(gt=0)] = 120.0
    duplicates: Annotated[int, Meta(ge=0)] | None = None
    stall_s: Annotated[float, Meta(gt=0)] | None = None
    flat_memory: bool = False
