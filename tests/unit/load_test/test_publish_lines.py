"""What csv-publish says about its result. Nothing is doubled."""

from pathlib import Path
from typing import Any

from webhookd_load_test.records.publish_lines import lines_of, note_of
from webhookd_load_test.records.publish_summary import PublishProgress, PublishSummary
from webhookd_load_test.records.sender import Refusal


def said(**changed: Any) -> str:  # noqa: ANN401  # fields of several types
    fields: dict[str, Any] = {
        "rows": 5000,
        "before": 0,
        "published": 5000,
        "refused": 0,
        "refusals": [],
        "sent": 5000,
        "unanswered": 0,
        "late_p50_ms": 0.5,
        "late_p99_ms": 20.0,
        "late_max_ms": 31.0,
        "started_ns": 0,
        "ended_ns": 1,
        "failure": "",
        **changed,
    }
    return "\n".join(lines_of(PublishSummary(**fields), Path("records.csv")))


def test_whole_file_is_said_in_two_lines() -> None:
    assert said() == (
        "published 5,000 rows of records.csv\n"
        "handed to the producer after their time: p50 0.5 ms, p99 20.0 ms, max 31.0 ms"
    )


def test_slow_run_is_warned_about() -> None:
    assert "WARNING: could not keep up: one record of a hundred was more than 1.2 s late" in said(late_p99_ms=1200.0)


def test_run_that_goes_on_says_what_was_there() -> None:
    text = said(before=4999, published=1, sent=1)
    assert "4,999 of 5,000 rows were acknowledged before and are not published again" in text
    assert "published 1 row of records.csv" in text
    assert "are not published;" not in text


def test_stopped_run_says_what_is_left() -> None:
    text = said(published=4000, sent=4010, unanswered=10)
    assert "10 rows have no answer; some may be in Kafka, and be there twice after the next run" in text
    assert "1,000 of 5,000 rows are not published; the same command publishes them" in text


def test_refused_rows_are_listed_and_counted() -> None:
    refusals = [Refusal(line, "orders", "too large") for line in range(2, 102)]
    lines = said(published=4800, refused=200, refusals=refusals).splitlines()
    assert "records.csv, line 2: not published to orders: too large" in lines
    assert sum("not published to orders" in line for line in lines) == 20
    assert "… and 180 more that were not published" in lines


def test_failure_of_the_producer_is_said() -> None:
    assert "the producer cannot go on: fenced" in said(failure="fenced", published=1)


def test_note_says_what_is_wrong() -> None:
    progress = PublishProgress(acknowledged=2, refused=0, late_ms=1234.5)
    assert note_of(progress) == "1,234 ms late"
    assert note_of(progress._replace(refused=1, late_ms=0.0)) == "0 ms late, 1 refused"
