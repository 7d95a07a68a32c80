"""What is known of the run besides its result: events, producer, settings, versions and the machine."""

from collections.abc import Mapping, Sequence

from webhookd_load_test.counted import counted
from webhookd_load_test.report import number_format
from webhookd_load_test.report.event_marks import Mark
from webhookd_load_test.report.run_data import RunData
from webhookd_load_test.report.table import Table
from webhookd_load_test.run_folder.result import Result


def event_table(marks: Sequence[Mark]) -> Table | None:
    """The events with their times; None without any."""
    if not marks:
        return None
    rows = [
        [str(mark.number), mark.kind, mark.text, f"{number_format.plain(mark.at_s)} s", _took(mark)] for mark in marks
    ]
    return Table(title="Events", columns=["No.", "Kind", "Event", "At", "Took"], rows=rows, texts=3, numbered=True)


def _took(mark: Mark) -> str:
    took_s = mark.until_s - mark.at_s
    return number_format.seconds(took_s) if took_s > 0 else number_format.UNKNOWN


def publish_table(result: Result) -> Table:
    """How well the producer kept to its times."""
    publish = result.publish
    return Table(
        title="Producer",
        about="Late is how long after its time in the file a record was handed to the producer.",
        columns=["Figure", "Value"],
        rows=[
            ["Records acknowledged", number_format.count(publish.records)],
            ["Not acknowledged", number_format.count(publish.not_acknowledged)],
            ["Late, p50", number_format.milliseconds(publish.late_p50_ms)],
            ["Late, p99", number_format.milliseconds(publish.late_p99_ms)],
            ["Late, at most", number_format.milliseconds(publish.late_max_ms)],
        ],
    )


def named_values(title: str, values: Mapping[str, str], about: str = "") -> Table | None:
    """A table of names and texts; None without any."""
    if not values:
        return None
    return Table(title=title, columns=["Name", "Value"], rows=[[*one] for one in values.items()], texts=2, about=about)


def fact_tables(data: RunData) -> list[Table]:
    """Settings, topics, versions and the machine, as far as they are known."""
    facts = data.facts
    if facts is None:
        return []
    partitions = {topic: counted(number, "partition") for topic, number in facts.partitions.items()}
    found = (
        named_values("Settings", facts.settings),
        named_values("Topics", partitions),
        named_values("Versions", facts.versions),
        named_values("Machine", facts.machine),
    )
    return [table for table in found if table is not None]
