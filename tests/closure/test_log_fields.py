"""docs/reference/log-events.md has each field of the line of a delivery, in the events that have it, and no other one.

Oracle: lines of real senders that ended in each way. tests/acceptance/test_log_of_deliveries.py compares those of real
processes.
"""

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from documentation.reference.log_events import line_fields
from tests.closure.findings import told
from tests.harness.delivery_senders import OK, SenderScene, answer
from webhookd.flow.attempt.exchange_result import Outcome
from workers.delivery.delivery_log import DeliveryLog

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "log-events.md").read_text(encoding="utf-8")
OF_EVERY_LINE = {"event", "log_level", "module"}
SAMPLED = "sample_ratio"

every_end = pytest.mark.parametrize(
    ("event", "outcome"), [("delivered", OK), ("attempt_failed", answer(500)), ("delivery_returned", None)]
)


def fields_of(outcome: Outcome | None, *, everything: bool) -> tuple[str, set[str]]:
    """The event and the fields of a delivery with this end; `everything` that can be there is."""
    scene = SenderScene()
    sender = scene.sender(batches=1, probe=everything)
    if everything:
        sender.paced_s = 0.5
    sender.advance(None)
    if outcome is None:
        sender.stopped = True
    else:
        sender.advance(outcome)
    log = DeliveryLog("w1", 1.0 - 1e-9) if everything else DeliveryLog("w1")
    with capture_logs() as lines:
        log.ended(sender, "4bf92f3577b34da6a3ce929d0e0e4736" if everything else "")
    line: dict[str, Any] = dict(lines[0])
    return str(line["event"]), line.keys() - OF_EVERY_LINE


@every_end
def test_fields_that_are_always_there_are_documented(event: str, outcome: Outcome | None) -> None:
    logged, fields = fields_of(outcome, everything=False)
    documented, _ = line_fields(PAGE, event)
    assert logged == event
    assert fields == documented - {SAMPLED}, told("fields", sorted(fields ^ (documented - {SAMPLED})))


@every_end
def test_fields_that_are_sometimes_there_are_documented(event: str, outcome: Outcome | None) -> None:
    _, fields = fields_of(outcome, everything=True)
    always, sometimes = line_fields(PAGE, event)
    assert fields == always | sometimes, told("fields", sorted(fields ^ (always | sometimes)))
