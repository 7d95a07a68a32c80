"""What `csv-publish` says: how far it is, and what came of it."""

from collections.abc import Iterator
from pathlib import Path

from webhookd_load_test.records.publish_summary import PublishProgress, PublishSummary
from webhookd_load_test.run_folder.units import MS_PER_S

KEPT_UP_MS = 1000.0
"""A run in which one record of a hundred is later than this has not kept up with its file."""

SHOWN_REFUSALS = 20


def note_of(progress: PublishProgress) -> str:
    """What is said beside the number of acknowledged rows."""
    refused = f", {progress.refused:,} refused" if progress.refused else ""
    return f"{progress.late_ms:,.0f} ms late{refused}"


def lines_of(summary: PublishSummary, csv: Path) -> Iterator[str]:
    """The result, for people."""
    if summary.before:
        yield f"{summary.before:,} of {summary.rows:,} rows were acknowledged before and are not published again"
    yield f"published {summary.published:,} {'row' if summary.published == 1 else 'rows'} of {csv}"
    if summary.sent:
        late = (summary.late_p50_ms, summary.late_p99_ms, summary.late_max_ms)
        yield "handed to the producer after their time: p50 {:,.1f} ms, p99 {:,.1f} ms, max {:,.1f} ms".format(*late)
    if summary.late_p99_ms > KEPT_UP_MS:
        late_s = summary.late_p99_ms / MS_PER_S
        yield f"WARNING: could not keep up: one record of a hundred was more than {late_s:,.1f} s late"
    yield from _problems(summary, csv)


def _problems(summary: PublishSummary, csv: Path) -> Iterator[str]:
    for refusal in summary.refusals[:SHOWN_REFUSALS]:
        yield f"{csv}, line {refusal.line}: not published to {refusal.topic}: {refusal.reason}"
    if (others := summary.refused - SHOWN_REFUSALS) > 0:
        yield f"… and {others:,} more that were not published"
    if summary.failure:
        yield f"the producer cannot go on: {summary.failure}"
    if summary.unanswered:
        yield f"{summary.unanswered:,} rows have no answer; some may be in Kafka, and be there twice after the next run"
    if not summary.complete:
        missing = summary.rows - summary.acknowledged
        yield f"{missing:,} of {summary.rows:,} rows are not published; the same command publishes them"
