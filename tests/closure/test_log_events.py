"""docs/reference/log-events.md has one row for each log event, with its levels, and no other row.

Oracle: Python's own parser over every call that logs (reference/log_events.py).
"""

from functools import cache
from pathlib import Path

from documentation.reference.log_events import Logged, documented, event_rows, levels, logged
from tests.closure.findings import told

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "log-events.md").read_text(encoding="utf-8")
ROWS = documented(PAGE)


@cache
def calls() -> list[Logged]:
    """Every call that logs; not read at import, which each process of pytest does."""
    return logged(ROOT)


def test_each_event_is_a_literal() -> None:
    unknown = [f"{call.place}: {call.source}" for call in calls() if call.event is None]
    assert unknown == [], told("the event must stand in the call, so that the reference can list it", unknown)


def test_each_event_has_its_row() -> None:
    missing = [f"| `{c.event}` | {c.level} | … | … |   ({c.place})" for c in calls() if c.event not in ROWS]
    assert missing == [], told("rows that docs/reference/log-events.md lacks", missing)


def test_each_row_is_of_an_event() -> None:
    left_over = sorted(ROWS.keys() - levels(calls()).keys())
    assert left_over == [], told("rows of docs/reference/log-events.md that nothing logs", left_over)


def test_each_row_has_the_levels_of_its_event() -> None:
    called = levels(calls())
    wrong = [
        f"{event}: {ROWS[event]}, logged as {called[event]}"
        for event in ROWS
        if ROWS[event] != called.get(event, ROWS[event])
    ]
    assert wrong == [], told("levels in docs/reference/log-events.md that the calls do not have", wrong)


def test_each_event_has_one_row() -> None:
    events = [row[0] for row in event_rows(PAGE)]
    assert sorted({event for event in events if events.count(event) > 1}) == []


def test_each_row_says_what_it_means_and_what_to_do() -> None:
    assert [row[0] for row in event_rows(PAGE) if len(row) not in {4, 5} or not all(row)] == []
