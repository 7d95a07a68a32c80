"""The first that a reader sees: whether the run passed, what is not known of it, and its main figures."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from webhookd_load_test.counted import counted
from webhookd_load_test.report import number_format
from webhookd_load_test.report.run_data import RunData
from webhookd_load_test.run_folder.result import Result

Standing = Literal["passed", "failed", "partial"]

HEADLINES: dict[Standing, str] = {"passed": "Passed", "failed": "FAILED", "partial": "Partial"}


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its name. `wrong` ones are why the run failed."""

    name: str
    value: str
    note: str = ""
    wrong: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`notices` say what is not known of the run, `faults` what was found: why it failed, unless it is partial."""

    standing: Standing
    sentence: str
    notices: list[str]
    faults: list[str]
    figures: list[Figure]

    @property
    def headline(self) -> str:
        """The verdict in a word."""
        return HEADLINES[self.standing]


def verdict(data: RunData) -> Verdict:
    """The verdict of a run."""
    notices = [*_interruption(data), *data.gaps]
    standing = _standing(data, notices)
    return Verdict(
        standing=standing,
        sentence=_sentence(data, standing),
        notices=notices,
        faults=data.result.faults if data.result else [],
        figures=list(_figures(data.result) if data.result else _sampled_figures(data)),
    )


def _interruption(data: RunData) -> Iterator[str]:
    """Why the run ended early, unless the result says so."""
    facts, told = data.facts, data.result is not None and data.result.partial
    if facts is not None and not facts.complete and not told:
        yield f"The run did not reach its end: {facts.reason.rstrip('.') or 'it was interrupted, or still runs'}."


def _standing(data: RunData, notices: list[str]) -> Standing:
    if data.result is not None and not data.result.passed:
        return "partial" if data.result.partial else "failed"
    return "partial" if notices else "passed"


def _sentence(data: RunData, standing: Standing) -> str:
    if data.result is None:
        return "What was measured until then is below. It says nothing about lost or repeated records."
    if standing == "passed":
        delivered = counted(_total(data.result, "delivered"), "delivery", "deliveries")
        return f"Nothing was lost and everything was in order: {delivered} as expected."
    if standing == "partial" and not data.result.passed:
        return "The run ended early: what is lost may only be late."
    if standing == "partial":
        return "Nothing is wrong with what was compared, but not all of the run is known."
    return f"{counted(len(data.result.faults), 'fault')}. What is wrong is marked below."


def _figures(result: Result) -> Iterator[Figure]:
    lost, disorders = _total(result, "lost"), _total(result, "disorders")
    yield Figure("Lost", number_format.count(lost), f"of {_total(result, 'expected'):,}", wrong=lost > 0)
    duplicates = _total(result, "duplicates")
    yield Figure("Duplicates", number_format.count(duplicates), _share(duplicates, _total(result, "delivered")))
    lane = "partition or key" if _total(result, "key_disorders") else "in a partition"
    yield Figure("Out of order", number_format.count(disorders), lane, wrong=disorders > 0)
    p50_ms, p99_ms = (result.latency.p50_ms, result.latency.p99_ms) if result.latency else (None, None)
    yield Figure("Latency p50", number_format.milliseconds(p50_ms), "append to delivery")
    yield Figure("Latency p99", number_format.milliseconds(p99_ms), "append to delivery")
    yield Figure("Throughput", number_format.rate(result.throughput_per_s), "deliveries")
    yield from _rare_figures(result)


_FAULTS = {
    "unexpected": ("Unexpected", "not wanted, or not published"),
    "wrong_places": ("Wrong places", "not where Kafka has it"),
    "wrong_keys": ("Wrong keys", "not as published"),
    "wrong_values": ("Wrong values", "not as published"),
    "invalid_signatures": ("Invalid signatures", "of requests"),
}
_NO_FAULTS = {
    "refused": ("Refused", "requests without a 2xx"),
    "undecided": ("Undecided", "no JSON, or a filter failed"),
    "unacknowledged": ("Delivered all the same", "not acknowledged by Kafka"),
}
"""Fields of the subscriptions, with the figure's name and its note."""


def _rare_figures(result: Result) -> Iterator[Figure]:
    """Figures that are shown only when they are not 0."""
    for names, wrong in ((_FAULTS, True), (_NO_FAULTS, False)):
        for field, (name, note) in names.items():
            if number := _total(result, field):
                yield Figure(name, number_format.count(number), note, wrong=wrong)
    if result.elsewhere:
        yield Figure("Elsewhere", number_format.count(result.elsewhere), "to paths of no subscription", wrong=True)
    if number := result.publish.not_acknowledged:
        yield Figure("Not acknowledged", number_format.count(number), "by Kafka")


def _sampled_figures(data: RunData) -> Iterator[Figure]:
    if not data.samples:
        return
    last = data.samples[-1]
    yield Figure("Published", number_format.count(last.published), "until the last sample")
    yield Figure("Delivered", number_format.count(last.received), "duplicates included")
    yield Figure("Lag", number_format.count(last.lag), "at the last sample")


def _total(result: Result, field: str) -> int:
    return sum(getattr(one, field) for one in result.subscriptions)


def _share(part: int, whole: int) -> str:
    return f"{number_format.plain(100 * part / whole)} % of records" if whole and part else "re-sent records"
