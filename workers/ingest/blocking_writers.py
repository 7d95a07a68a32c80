"""The parts of an ingest process, outside the loop, that may block."""

from dataclasses import dataclass

from workers.ingest.dispatch.task_publisher import TaskPublisher
from workers.ingest.ports import Offsets
from workers.ingest.settlement.database_writer import DatabaseWriter
from workers.ingest.settlement.dead_letter_publisher import DeadLetterPublisher


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockingWriters:
    """Each writes to one outside system, on a thread of its own. `offsets` is used on the loop's background threads."""

    publisher: TaskPublisher
    writer: DatabaseWriter
    dead_letter_publisher: DeadLetterPublisher
    offsets: Offsets
