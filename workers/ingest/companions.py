"""What stands beside the ingest loop and does what may block."""

from dataclasses import dataclass

from workers.ingest.graveyard import Graveyard
from workers.ingest.ports import Offsets
from workers.ingest.publisher import Publisher
from workers.ingest.recorder import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Companions:
    """Each for its own outside system, on a thread of its own; `offsets` are asked on the loop's background threads."""

    publisher: Publisher
    recorder: Recorder
    graveyard: Graveyard
    offsets: Offsets
