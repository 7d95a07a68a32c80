"""How fast the publisher is alone: what a scenario's rate is compared with."""

import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from webhookd_load_test.records import csv_writer
from webhookd_load_test.records.generate import generate
from webhookd_load_test.records.publisher import Publisher
from webhookd_load_test.run_folder.units import NS_PER_S

MEASURED_S = 2.0
ROWS = 200_000
BYTES = 256 * 1024 * 1024
"""So many rows and bytes at most: fast machines have published them before MEASURED_S is over."""


class NotMeasuredError(Exception):
    """A rate that could not be measured: the message has the reason."""


def measure(kafka: Mapping[str, str], topic: str, payload_bytes: int) -> float:
    """Return how many records a second the Publisher reaches when all are due at once.

    Publishes to a topic that is there, and that nothing of the run reads: the records have numbers of their own. Blocks
    for some seconds. Raises what `Publisher.run` raises, and NotMeasuredError when Kafka acknowledges no record.
    """
    rows = max(1, min(ROWS, BYTES // payload_bytes))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "records.csv"
        csv_writer.write(file, generate(rows=rows, duration_ms=1, topics=[topic], payload_bytes=payload_bytes))
        publisher = Publisher(csv=file, published=Path(folder) / "published.sqlite", kafka=kafka)
        publisher.prepare()
        return _rate(publisher)


def _rate(publisher: Publisher) -> float:
    stopping = threading.Event()
    timer = threading.Timer(MEASURED_S, stopping.set)
    timer.start()
    try:
        summary = publisher.run(stopping)
    finally:
        timer.cancel()
    if not summary.published:
        reason = summary.refusals[0].reason if summary.refusals else "no broker has answered"
        raise NotMeasuredError(f"the headroom cannot be measured: {reason}")
    return summary.published * NS_PER_S / (summary.ended_ns - summary.started_ns)
