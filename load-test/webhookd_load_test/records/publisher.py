"""Publishes a CSV file to Kafka at the times that it says, and keeps what was acknowledged."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from webhookd_load_test.records import csv_file, csv_survey
from webhookd_load_test.records.csv_survey import CsvSurvey
from webhookd_load_test.records.pending_rows import Schedule, pending_rows
from webhookd_load_test.records.publish_run import PublishRun
from webhookd_load_test.records.publish_summary import PublishProgress, PublishSummary
from webhookd_load_test.records.published_file import (
    Acknowledged,
    PublishedWriter,
    acknowledged_numbers,
    only_writer,
    open_published,
)
from webhookd_load_test.records.sender import Sender

SHOWN_S = 0.25


class Publisher:
    """Publishes the rows that are not acknowledged in `published`, and keeps there which ones are.

    `kafka` has librdkafka's properties, bootstrap.servers among them. The load begins at `begin_ns` since the epoch; at
    the beginning of `run` without it. `speed` 2 publishes twice as fast as the file says. `now_ns` is the clock of the
    schedule. `on_progress` is called a few times a second, by the thread of `run`.

    `run` raises UnusableCsvError, and UnusablePublishedError, also while another process publishes the same.
    """

    def __init__(  # each has its own meaning and default
        self,
        *,
        csv: Path,
        published: Path,
        kafka: Mapping[str, str],
        begin_ns: int | None = None,
        speed: float = 1.0,
        now_ns: Callable[[], int] = time.time_ns,
        on_progress: Callable[[PublishProgress], None] = lambda _progress: None,
    ) -> None:
        self._csv = csv
        self._published = published
        self._kafka = kafka
        self._begin_ns = begin_ns
        self._speed = speed
        self._now_ns = now_ns
        self._on_progress = on_progress
        self._survey: CsvSurvey | None = None
        self._acknowledged = 0
        self._shown_at_s = 0.0
        self._started_ns = self._answered_ns = 0

    @property
    def acknowledged(self) -> int:
        """How many rows Kafka has acknowledged so far, those of earlier runs included; any thread."""
        return self._acknowledged

    def prepare(self, watch: Callable[[int], None] = lambda _read_bytes: None) -> CsvSurvey:
        """Read the whole file once, so that an unusable line is found before anything is published. `run` does it else.

        Calls `watch` with the bytes read so far. Blocks; raises UnusableCsvError.
        """
        if self._survey is None:
            self._survey = csv_survey.survey(self._csv, watch)
        return self._survey

    def run(self, stopping: threading.Event) -> PublishSummary:
        """Publish until the end of the file, or until `stopping`; blocks until what was handed over has an answer.

        After a stop that takes STOPPING_S, 30 seconds, at most. Call it once.
        """
        survey = self.prepare()
        with only_writer(self._published):
            before = open_published(self._published, survey)
            self._acknowledged = before.acknowledged
            with PublishedWriter(self._published) as writer, closing(acknowledged_numbers(self._published)) as numbers:
                run = self._run(before.last, writer, stopping)
                unanswered = run.publish(pending_rows(csv_file.read_rows(self._csv), numbers))
            return self._summary(run, before.acknowledged, unanswered)

    def _run(self, last: int, writer: PublishedWriter, stopping: threading.Event) -> PublishRun:
        def keep(row: Acknowledged) -> None:
            self._acknowledged += 1
            self._answered_ns = row.acknowledged_ns
            writer.add(row)

        def watch(run: PublishRun) -> None:
            writer.check()
            self._show(run)

        sender = Sender(self._kafka, keep, self._now_ns)
        self._started_ns = self._answered_ns = self._now_ns()
        schedule = Schedule(
            started_ns=self._started_ns, begin_ns=self._begin_ns, last_acknowledged=last, speed=self._speed
        )
        return PublishRun(sender, schedule, stopping, now_ns=self._now_ns, watch=watch)

    def _show(self, run: PublishRun) -> None:
        if (now_s := time.monotonic()) < self._shown_at_s + SHOWN_S:
            return
        self._shown_at_s = now_s
        self._on_progress(
            PublishProgress(
                acknowledged=self._acknowledged,
                refused=run.sender.refused,
                late_ms=run.lateness.last_ms,
            )
        )

    def _summary(self, run: PublishRun, before: int, unanswered: int) -> PublishSummary:
        return PublishSummary(
            rows=self.prepare().rows,
            before=before,
            published=self._acknowledged - before,
            refused=run.sender.refused,
            refusals=run.sender.refusals,
            sent=run.sent,
            unanswered=unanswered,
            late_p50_ms=run.lateness.percentile_ms(0.5),
            late_p99_ms=run.lateness.percentile_ms(0.99),
            late_max_ms=run.lateness.max_ms,
            started_ns=self._started_ns,
            ended_ns=self._answered_ns,
            failure=run.sender.failure,
        )
