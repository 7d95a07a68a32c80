"""Writes the report of a run: one HTML file that needs no network and no script."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from webhookd_load_test.report import fact_tables, number_format, record_lists, run_data
from webhookd_load_test.report.canvas import NARROW, WIDE
from webhookd_load_test.report.drawing import Drawing, drawing
from webhookd_load_test.report.event_labels import EventStrip, event_strip
from webhookd_load_test.report.event_marks import Mark, marks
from webhookd_load_test.report.headroom_table import headroom_table
from webhookd_load_test.report.plot import Plot, summary
from webhookd_load_test.report.plots import plots
from webhookd_load_test.report.result_tables import result_tables
from webhookd_load_test.report.run_data import RunData
from webhookd_load_test.report.table import Table
from webhookd_load_test.report.verdict import verdict
from webhookd_load_test.run_folder import whole_file
from webhookd_load_test.run_folder.paths import RunFolder

ENVIRONMENT = Environment(
    loader=PackageLoader("webhookd_load_test.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
"""Everything is escaped: names of topics and texts of errors are somebody else's."""

CANVASES = (WIDE, NARROW)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPlot:
    """A plot with its drawings, one for each canvas, and the same in words."""

    plot: Plot
    drawings: list[Drawing]
    words: str


def write_report(folder: RunFolder) -> Path:
    """Write report.html from what is there of the run; returns its path.

    Raises run_data.UnusableRunError when nothing is there, OSError when the file cannot be written.
    """
    whole_file.write(folder.report, html(run_data.read(folder)).encode())
    return folder.report


def html(data: RunData) -> str:
    """The report as HTML."""
    known_marks = marks(data.events, data.began_ns)
    return ENVIRONMENT.get_template("report.html.jinja").render(
        title=data.facts.scenario if data.facts else "unknown scenario",
        summary=data.facts.summary if data.facts else "",
        began=_date(data.began_ns),
        lasted=number_format.seconds(data.end_s),
        verdict=verdict(data),
        fault_tables=_fault_tables(data),
        strips=_strips(known_marks, data.end_s),
        drawn_plots=[_drawn(plot, data.end_s, known_marks) for plot in plots(data)],
        tables=_tables(data, known_marks),
    )


def _date(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns / 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC" if at_ns else ""


def _strips(known_marks: list[Mark], end_s: float) -> list[EventStrip]:
    return [event_strip(known_marks, canvas, end_s) for canvas in CANVASES] if known_marks else []


def _drawn(plot: Plot, end_s: float, known_marks: list[Mark]) -> DrawnPlot:
    return DrawnPlot(
        plot=plot,
        drawings=[drawing(plot, canvas, end_s, known_marks) for canvas in CANVASES] if plot.drawn else [],
        words=" ".join(summary(one, plot.label) for one in plot.drawn),
    )


def _fault_tables(data: RunData) -> list[Table]:
    """What is wrong, record by record."""
    flat = fact_tables.named_values(
        "Memory or descriptors that grew",
        data.facts.flat if data.facts else {},
        "The scenario asks that they stay flat.",
    )
    lists = (record_lists.missing_table, record_lists.disorder_table, record_lists.deviation_table)
    compared = [each(data.result) for each in lists] if data.result else []
    return [table for table in (*compared, flat) if table is not None]


def _tables(data: RunData, known_marks: list[Mark]) -> list[Table]:
    events = fact_tables.event_table(known_marks)
    return [
        *(result_tables(data.result) if data.result else []),
        *([events] if events else []),
        *([headroom_table(data.facts.headroom)] if data.facts and data.facts.headroom else []),
        *([fact_tables.publish_table(data.result)] if data.result else []),
        *fact_tables.fact_tables(data),
    ]
