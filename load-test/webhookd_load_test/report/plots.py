"""Which plots a report has, and what each shows."""

from operator import attrgetter

from webhookd_load_test.report import number_format
from webhookd_load_test.report.axis_scale import spans_factor
from webhookd_load_test.report.plot import LOGARITHMIC_FROM_FACTOR, Plot, peaks_differ
from webhookd_load_test.report.process_plots import process_plots
from webhookd_load_test.report.run_data import RunData
from webhookd_load_test.report.time_series import Series, by_second, growth, sampled

NOT_COMPARED = "Not known: the run has not been compared yet."
NOT_SAMPLED = "Not known: there are no samples of this run."


def plots(data: RunData) -> list[Plot]:
    """All plots, in their order."""
    return [_throughput(data), _latency(data), _lag(data), _duplicates_and_refused(data), *process_plots(data)]


def _throughput(data: RunData) -> Plot:
    series = _throughput_series(data)
    logarithmic = peaks_differ(series)
    return Plot(
        key="throughput",
        title="Throughput",
        about="Records that Kafka acknowledged, and records that the endpoint took, in each second."
        + (" The axis is logarithmic; 0 is drawn at its lower end." if logarithmic else ""),
        series=series,
        label=number_format.rate,
        noisy=True,
        absent=NOT_SAMPLED,
        logarithmic=logarithmic,
    )


def _throughput_series(data: RunData) -> list[Series]:
    names = ("published", "delivered"), ("published", "received")
    if data.result is not None and data.result.seconds:
        seconds = data.result.seconds
        return [by_second(name, seconds, attrgetter(field)) for name, field in zip(*names, strict=True)]
    return [growth(name, data.samples, data.began_ns, attrgetter(field)) for name, field in zip(*names, strict=True)]


def _latency(data: RunData) -> Plot:
    seconds = data.result.seconds if data.result else []
    series = [by_second(f"p{rank}", seconds, attrgetter(f"latency_p{rank}_ms")) for rank in (50, 90, 99)]
    logarithmic = spans_factor((value for one in series for _, value in one.points), factor=LOGARITHMIC_FROM_FACTOR)
    return Plot(
        key="latency",
        title="Latency",
        about="From the append of a record in Kafka to its first delivery, without endpoints that fail on purpose, "
        "by the second of its delivery." + (" The axis is logarithmic." if logarithmic else ""),
        series=series,
        label=number_format.milliseconds,
        noisy=True,
        absent=NOT_COMPARED if data.result is None else "No record was delivered.",
        logarithmic=logarithmic,
    )


def _lag(data: RunData) -> Plot:
    series = sampled("lag", data.samples, data.began_ns, attrgetter("lag"))
    return Plot(
        key="lag",
        title="Lag",
        about="Records of all subscriptions that are not committed yet.",
        series=[series],
        label=number_format.count,
        absent="Not known: no sample has the lag." if data.samples else NOT_SAMPLED,
        whole=True,
        filled=True,
    )


def _duplicates_and_refused(data: RunData) -> Plot:
    seconds = data.result.seconds if data.result else []
    series = [by_second(name, seconds, attrgetter(name)) for name in ("duplicates", "refused")]
    quiet = not any(value for one in series for _, value in one.points)
    absent = "No duplicate and no refused request in the whole run." if seconds else NOT_COMPARED
    return Plot(
        key="duplicates",
        title="Duplicates and refused requests",
        about="Deliveries of a record after its first one, and requests that the endpoint did not answer with 2xx,"
        " in each second.",
        series=[] if quiet else series,
        label=number_format.count,
        absent=absent,
        whole=True,
    )
