"""Command `cluster`: real brokers, and what a timeline does to them."""

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from stack.errors import NotStarted
from stack.kafka import KafkaOptions
from stack.kafka_changes import KafkaChanges
from stack.service_group import ServiceGroup
from stack.signals import Interrupted, raise_on_signals
from webhookd_load_test.cluster import timeline_check, timeline_file
from webhookd_load_test.cluster.cluster_actions import ClusterActions
from webhookd_load_test.cluster.timeline import Step
from webhookd_load_test.cluster.timeline_check import UnusableTimelineError
from webhookd_load_test.cluster.timeline_lines import TimelineLines
from webhookd_load_test.cluster.timeline_thread import Timeline, TimelineFailed


@click.command
@click.option("--brokers", type=click.IntRange(1, 9), default=3, show_default=True, help="Brokers to start with.")
@click.option(
    "--timeline",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file with [[timeline]] entries: add_broker, remove_broker and kill_broker, each with at_s.",
)
@click.option("--exit-at-end", is_flag=True, help="End when the timeline has ended.")
def cluster(*, brokers: int, file: Path | None, exit_at_end: bool) -> None:
    """Start a Kafka cluster, and add, remove and kill brokers at the times of a file.

    The brokers listen on 127.0.0.1. The brokers that it starts with hold the quorum and are never removed, so the
    printed address stays valid; an added broker gets a share of all partitions. Ctrl-C or SIGTERM ends all and deletes
    the data.
    """
    if exit_at_end and file is None:
        raise click.UsageError("--exit-at-end needs --timeline")
    steps = _steps(file, brokers)
    raise_on_signals()
    try:
        _run(brokers, steps, exit_at_end=exit_at_end)
    except (NotStarted, TimelineFailed) as error:
        raise click.ClickException(str(error)) from None
    except Interrupted as interrupted:
        if exit_at_end:
            raise SystemExit(interrupted.exit_code) from None


def _steps(file: Path | None, brokers: int) -> list[Step]:
    if file is None:
        return []
    try:
        steps = timeline_file.read(file)
        timeline_check.check(steps, brokers=brokers)
    except UnusableTimelineError as error:
        raise click.ClickException(str(error)) from None
    return steps


def _run(brokers: int, steps: Sequence[Step], *, exit_at_end: bool) -> None:
    """Run until the end of the timeline, or until a signal raises Interrupted."""
    stopping = threading.Event()
    with ServiceGroup() as services, TimelineLines(Console(highlight=False)) as lines:
        lines.say(f"starting {brokers} brokers")
        kafka = services.start_kafka(KafkaOptions(brokers=brokers))
        services.wait_ready()
        lines.say(f"Kafka is at {kafka.address}")
        actions = ClusterActions(KafkaChanges(kafka, stopping=stopping))
        timeline = Timeline(steps, lines.telling(actions), stopping=stopping, tell=lines.tell)
        try:
            timeline.begin(lines.begin(time.time_ns()))
            timeline.finish()
            if not exit_at_end:
                lines.say("Ctrl-C ends the cluster and deletes its data")
                signal.pause()
        finally:
            timeline.stop()
