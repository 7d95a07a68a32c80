"""The plots of memory, processor time and descriptors, with a line for each process."""

from collections.abc import Sequence

from webhookd_load_test.report import number_format
from webhookd_load_test.report.plot import Plot
from webhookd_load_test.report.run_data import RunData
from webhookd_load_test.report.time_series import MEBIBYTE, growth, of_process, process_names, sampled
from webhookd_load_test.run_folder.samples import Sample

MOST = 8
"""How many processes are drawn: as many as there are colours that can be told apart."""

ABSENT = "Not known: there are no samples of this run's processes."


def process_plots(data: RunData) -> list[Plot]:
    """The three plots. A process has the same colour in all of them."""
    drawn, left_out = largest(data.samples)
    note = (
        f"Drawn are the {MOST} processes with the most memory; samples.jsonl has {left_out} more." if left_out else ""
    )
    return [_memory(data, drawn, note), _processor_time(data, drawn, note), _descriptors(data, drawn, note)]


def largest(samples: Sequence[Sample]) -> tuple[list[str], int]:
    """The processes that are drawn, in the order of their names, and how many there are besides."""
    names = process_names(samples)
    peaks = {
        name: max(sample.processes[name].resident_bytes for sample in samples if name in sample.processes)
        for name in names
    }
    chosen = set(sorted(names, key=lambda name: -peaks[name])[:MOST])
    return [name for name in names if name in chosen], len(names) - len(chosen)


def _memory(data: RunData, names: Sequence[str], note: str) -> Plot:
    series = [
        sampled(name, data.samples, data.began_ns, of_process(name, lambda state: state.resident_bytes / MEBIBYTE))
        for name in names
    ]
    return Plot(
        key="memory",
        title="Resident memory",
        about="Of each process with its children.",
        series=series,
        label=lambda mebibytes: f"{number_format.plain(mebibytes)} MiB",
        absent=ABSENT,
        note=note,
    )


def _processor_time(data: RunData, names: Sequence[str], note: str) -> Plot:
    series = [
        growth(name, data.samples, data.began_ns, of_process(name, lambda state: state.cpu_s * 100)) for name in names
    ]
    return Plot(
        key="cpu",
        title="Processor time",
        about="Of each process with its children; 100 % is one core.",
        series=series,
        label=lambda share: f"{number_format.plain(share)} %",
        noisy=True,
        absent=ABSENT,
        note=note,
    )


def _descriptors(data: RunData, names: Sequence[str], note: str) -> Plot:
    series = [
        sampled(name, data.samples, data.began_ns, of_process(name, lambda state: state.descriptors)) for name in names
    ]
    return Plot(
        key="descriptors",
        title="Open descriptors",
        about="Files and sockets that each process with its children holds open.",
        series=series,
        label=number_format.count,
        absent=ABSENT,
        whole=True,
        note=note,
    )
