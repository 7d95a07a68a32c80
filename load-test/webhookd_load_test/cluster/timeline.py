"""The timeline of a run: what happens to brokers and processes, and when."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Action = Literal[
    "add_broker",  # start a broker without controller, and move partitions to it
    "remove_broker",  # move its partitions away, stop it, and unregister it: one that was added
    "kill_broker",  # kill -9; started again after `for_s`, if given
    "kill_ingest",  # kill -9 of one process; started again after `for_s`
    "kill_worker",
    "scale_ingest",  # start or stop processes until there are `to`
    "scale_workers",
]


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step, `at_s` seconds after the load began. `broker` is a node id; None chooses one that fits."""

    at_s: Annotated[float, Meta(ge=0)]
    do: Action
    to: Annotated[int, Meta(ge=0)] | None = None
    broker: Annotated[int, Meta(ge=1)] | None = None
    for_s: Annotated[float, Meta(ge=0)] | None = None
