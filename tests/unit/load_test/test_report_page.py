"""The report of whole, failed and partial runs.

Oracle: Python's own HTML parser; the runs are written with the load test's own structs.
"""

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.unit.load_test import run_folders
from tests.unit.load_test.parsed_page import ParsedPage
from webhookd_load_test.report.html_report import write_report
from webhookd_load_test.report.run_data import UnusableRunError
from webhookd_load_test.run_folder import facts as run_facts
from webhookd_load_test.run_folder import result as run_result
from webhookd_load_test.run_folder.facts import Event, Headroom
from webhookd_load_test.run_folder.paths import RunFolder
from webhookd_load_test.run_folder.result import Deviation, Missing, Result, Second

RUNS = (run_folders.good, run_folders.failed, run_folders.partial, run_folders.many)
EACH_RUN = pytest.mark.parametrize("made", RUNS, ids=lambda made: made.__name__)
HOSTILE = '<script>alert("1")</script>&lt;'
WRONG = "wrong:"
"""What marks the row of a subscription with faults, for people who do not see its colour."""


def page_of(run: RunFolder) -> ParsedPage:
    return ParsedPage(write_report(run).read_text(encoding="utf-8"))


def change_result(run: RunFolder, change: Callable[[Result], Result]) -> None:
    run_result.write(run.result, change(run_result.read(run.result)))


@EACH_RUN
def test_page_is_well_formed(made: Callable[[Path], RunFolder], tmp_path: Path) -> None:
    page = page_of(made(tmp_path))
    assert page.badly_nested == []
    ids = list(page.attributes("id"))
    assert len(ids) == len(set(ids))
    named = {one for value in page.attributes("aria-labelledby") for one in value.split()}
    assert named <= set(ids)


@EACH_RUN
def test_page_needs_no_network_and_no_script(made: Callable[[Path], RunFolder], tmp_path: Path) -> None:
    source = write_report(made(tmp_path)).read_text(encoding="utf-8")
    page = ParsedPage(source)
    assert {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object", "base"} == set()
    assert [*page.attributes("src"), *page.attributes("href")] == []
    assert not re.search(r"@import|url\(|https?://", source)
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


@EACH_RUN
def test_drawings_have_words_and_finite_numbers(made: Callable[[Path], RunFolder], tmp_path: Path) -> None:
    page = page_of(made(tmp_path))
    drawings = [attributes for tag, attributes in page.elements if tag == "svg" and "role" in attributes]
    assert len(drawings) >= 10
    assert all(attributes["role"] == "img" and attributes["aria-labelledby"] for attributes in drawings)
    places = [value for name in ("d", "x", "y", "width", "height") for value in page.attributes(name)]
    assert not [place for place in places if "nan" in place.lower() or "inf" in place.lower()]


def test_passed_run_says_so_first_with_its_figures(tmp_path: Path) -> None:
    page = page_of(run_folders.good(tmp_path))
    begin = page.text[: page.text.index("Over time")]
    assert "\nPassed\n" in begin
    assert re.search(
        r"Lost\n0\nof [\d,]{5,}\nDuplicates\n5\n[\d.]+ % of records\nOut of order\n0\nin a partition\n", begin
    )
    assert "Latency p50\n31 ms\n" in begin
    assert "Latency p99\n1.27 s\n" in begin
    assert "Throughput\n51/s\n" in begin
    assert "All\n3,066\n3,066\n0\n5\n0\n0\n0" in page.text


def test_every_part_of_a_run_is_shown(tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    page = page_of(run)
    facts = run_facts.read(run.facts)
    texts = page.cells()
    for values in (facts.settings, facts.versions, facts.machine):
        assert {*values, *values.values()} <= texts
    assert {event.text for event in facts.events} <= texts
    assert {one.name for one in facts.subscriptions} <= texts
    assert {"4.65 s", "5.89 s", "49.6 ms", "52,000/s", "2,450/s", "48 ×", "load-1", "4 partitions", "18 ms"} <= texts
    titles = ["Throughput", "Latency", "Lag", "Duplicates and refused requests", "Resident memory"]
    headings = [*titles, "Processor time", "Open descriptors", "Subscriptions", "Longest stalls", "Headroom", "Machine"]
    assert [page.texts.index(heading, page.texts.index("Over time")) for heading in headings] == sorted(
        page.texts.index(heading, page.texts.index("Over time")) for heading in headings
    )


def test_failed_run_lists_faults_and_what_is_missing_before_the_plots(tmp_path: Path) -> None:
    run = run_folders.failed(tmp_path)
    page = page_of(run)
    begin = page.text[: page.text.index("Over time")]
    assert "\nFAILED\n" in begin
    assert all(fault in begin for fault in run_result.read(run.result).faults)
    assert "orders-eu\nload-1\n3\n1477\n211" in begin
    assert "payments\nload-2\npartition\n1\n30\n32\n" in begin
    assert "payments\nload-2\nkey\n1\n30\n31\n" in begin
    assert "Out of order\n1\npartition or key\n" in begin
    assert "resident memory grew by 41 MiB in the second half" in begin
    assert "Unexpected\n2" in begin


def test_long_list_of_missing_records_is_cut_and_says_so(tmp_path: Path) -> None:
    run = run_folders.failed(tmp_path)
    missing = [Missing(number=n, topic="t", partition=0, offset=None) for n in range(100)]

    def more(result: Result) -> Result:
        lossy = [msgspec.structs.replace(one, lost=5000, missing=missing) for one in result.subscriptions]
        return msgspec.structs.replace(result, subscriptions=lossy)

    change_result(run, more)
    assert "The first 100 of 15,000." in page_of(run).text


def test_interrupted_run_says_what_is_not_known(tmp_path: Path) -> None:
    page = page_of(run_folders.partial(tmp_path))
    begin = page.text[: page.text.index("Over time")]
    assert "\nPartial\n" in begin
    assert "The run did not reach its end: interrupted by SIGINT." in begin
    assert "There is no result.json" in begin
    assert "Published\n567\n" in begin
    assert "Not known: the run has not been compared yet." in page.texts
    assert "throughput-wide-title" in page.attributes("id")


def end_early(run: RunFolder, *others: str) -> None:
    facts = run_facts.read(run.facts)
    facts.complete, facts.reason = False, "SIGINT"
    run_facts.write(run.facts, facts)
    faults = ["partial: the run ended early (SIGINT)", *others]
    change_result(run, lambda result: msgspec.structs.replace(result, passed=False, partial=True, faults=faults))


def test_run_that_ended_early_and_was_compared_is_partial(tmp_path: Path) -> None:
    run = run_folders.failed(tmp_path)
    end_early(run, "3 records are lost: orders-eu 3")
    page = page_of(run)
    begin = page.text[: page.text.index("Over time")]
    assert "\nPartial\nThe run ended early: what is lost may only be late.\nWhat was found\n" in begin
    assert "3 records are lost: orders-eu 3" in begin
    assert "FAILED" not in page.text
    assert "Why it failed" not in page.text


def test_run_that_did_not_drain_has_failed(tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    undrained = "1 of 3 subscriptions had not committed everything 5 s after the last record; s1: lag 7"
    facts = run_facts.read(run.facts)
    facts.undrained = undrained
    run_facts.write(run.facts, facts)
    change_result(run, lambda result: msgspec.structs.replace(result, passed=False, faults=[undrained]))
    page = page_of(run)
    begin = page.text[: page.text.index("Over time")]
    assert "\nFAILED\n" in begin
    assert f"Why it failed\n{undrained}\n" in begin


def change_first(run: RunFolder, **fields: object) -> None:
    def changed(result: Result) -> Result:
        first, *others = result.subscriptions
        return msgspec.structs.replace(result, subscriptions=[msgspec.structs.replace(first, **fields), *others])

    change_result(run, changed)


@pytest.mark.parametrize(
    ("field", "figure"),
    [
        ("unexpected", "Unexpected"),
        ("wrong_places", "Wrong places"),
        ("wrong_keys", "Wrong keys"),
        ("wrong_values", "Wrong values"),
        ("invalid_signatures", "Invalid signatures"),
    ],
)
def test_each_fault_is_a_figure_and_marks_its_subscription(field: str, figure: str, tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    assert WRONG not in page_of(run).texts
    change_first(run, **{field: 1977})
    text = page_of(run).text
    begin, _, rest = text.partition("Over time")
    assert f"\n{figure}\n1,977\n" in begin
    subscriptions = rest[rest.index("\nSubscriptions\n") : rest.index("\nLatency of each")]
    row = re.search(r"wrong:\norders-eu((?:\n[\d,]+)+)", subscriptions, flags=re.DOTALL)
    assert row is not None
    assert row[1].split()[-3:] == (["1,977", "0", "0"] if field == "unexpected" else ["0", "1,977", "0"])


@pytest.mark.parametrize(
    ("field", "figure"),
    [("refused", "Refused"), ("undecided", "Undecided"), ("unacknowledged", "Delivered all the same")],
)
def test_what_is_no_fault_is_a_figure_that_is_not_marked(field: str, figure: str, tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    change_first(run, **{field: 1977})
    text = page_of(run).text
    assert f"\n{figure}\n1,977\n" in text[: text.index("Over time")]
    assert f"\n{WRONG}\n" not in text


def test_refused_requests_are_shown_for_each_subscription(tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    change_first(run, refused=1977)
    assert re.search(r"\norders-eu(?:\n[\d,]+){7}\n1,977\n", page_of(run).text)


def test_deliveries_elsewhere_are_a_figure(tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    change_result(run, lambda result: msgspec.structs.replace(result, elsewhere=12))
    assert "\nElsewhere\n12\n" in page_of(run).text


def test_wrong_deliveries_are_listed_with_identifiers_that_can_be_searched_for(tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    deviation = Deviation(kind="value", number=123456, topic="load-1", partition=2, offset=98765)
    change_first(run, wrong_values=300, deviations=[deviation] * 100)
    begin = page_of(run).text.partition("Over time")[0]
    assert "What arrived and is wrong\nThe first 100 of 300.\n" in begin
    assert "orders-eu\nanother value than was published\nload-1\n2\n98765\n123456\n" in begin


def test_latency_from_the_publication_is_shown(tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    later = run_folders.latency(70.0)
    change_result(run, lambda result: msgspec.structs.replace(result, latency_from_publish=later))
    text = page_of(run).text
    assert re.search(r"\nappend\n9\.3 ms\n49\.6 ms\n31 ms\n", text)
    assert re.search(r"\npublish\n21 ms\n112 ms\n70 ms\n", text)


def test_run_without_samples_is_reported(tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    run.samples.unlink()
    page = page_of(run)
    assert "Partial" in page.texts
    assert "Not known: there are no samples of this run." in page.texts
    assert "throughput-wide-title" in page.attributes("id")


def test_result_alone_is_reported(tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    run.samples.unlink()
    run.facts.unlink()
    page = page_of(run)
    assert any("There is no run.json" in text for text in page.texts)
    assert "orders-eu" in page.texts


def test_file_that_is_not_usable_is_named_and_the_rest_shown(tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    run.result.write_text('{"passed": "maybe"}', encoding="utf-8")
    page = page_of(run)
    assert any(text.startswith("result.json is not usable: ") and "$.passed" in text for text in page.texts)
    assert "Lag" in page.texts


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableRunError, match=r"nothing to report: There is no run\.json"):
        write_report(RunFolder(tmp_path))


def test_texts_of_others_are_escaped(tmp_path: Path) -> None:
    run = run_folders.failed(tmp_path)
    facts = run_facts.read(run.facts)
    facts.scenario = facts.summary = HOSTILE
    facts.partitions, facts.flat = {HOSTILE: 1}, {HOSTILE: HOSTILE}
    facts.settings = facts.versions = facts.machine = {HOSTILE: HOSTILE}
    facts.events = [Event(kind="broker", at_ns=facts.began_ns, text=HOSTILE)]
    run_facts.write(run.facts, facts)
    missing = [Missing(number=1, topic=HOSTILE, partition=0, offset=1)]

    def hostile(result: Result) -> Result:
        named = [
            msgspec.structs.replace(one, name=HOSTILE, longest_stall_lane=HOSTILE, missing=missing)
            for one in result.subscriptions
        ]
        return msgspec.structs.replace(result, faults=[HOSTILE], subscriptions=named)

    change_result(run, hostile)
    page = page_of(run)
    assert "script" not in {tag for tag, _ in page.elements}
    assert page.texts.count(HOSTILE) >= 15


def test_worst_of_many_subscriptions_come_first(tmp_path: Path) -> None:
    run = run_folders.many(tmp_path)

    def one_lossy(result: Result) -> Result:
        *others, last = result.subscriptions
        return msgspec.structs.replace(
            result, subscriptions=[*others, msgspec.structs.replace(last, lost=1, name="the lossy one")]
        )

    change_result(run, one_lossy)
    page = page_of(run)
    tables = page.text[page.text.index("In numbers") :]
    assert "20 of 1,000 subscriptions" in tables
    assert tables.index("the lossy one") < tables.index("subscription-")
    assert len(re.findall(r"^subscription-\d+$", tables, flags=re.MULTILINE)) == 19 + 20 + 20
    assert f"\n{WRONG}\n" in tables


@pytest.mark.parametrize(
    ("receiver_per_s", "needed_per_s", "told"),
    [(150.0, 100.0, "yes"), (149.0, 100.0, "NO"), (149.0, 0.0, "yes")],
)
def test_headroom_is_judged(receiver_per_s: float, needed_per_s: float, told: str, tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    facts = run_facts.read(run.facts)
    facts.headroom = Headroom(
        producer_per_s=500.0,
        receiver_per_s=receiver_per_s,
        needed_producer_per_s=1.0,
        needed_receiver_per_s=needed_per_s,
    )
    run_facts.write(run.facts, facts)
    page = page_of(run)
    assert page.texts[page.texts.index("Receiver") :].index(told) <= 6
    assert ("NOT enough" in page.text) == (told == "NO")


def test_latency_that_spans_decades_has_a_logarithmic_axis(tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    assert "by the second of its delivery. The axis is logarithmic." in page_of(run).text
    calm = [Second(at_s=at_s, received=1, latency_p50_ms=2.0) for at_s in range(9)]
    change_result(run, lambda result: msgspec.structs.replace(result, seconds=calm))
    assert "logarithmic" not in page_of(run).text


def test_run_without_deliveries_is_reported(tmp_path: Path) -> None:
    run = run_folders.good(tmp_path)
    change_result(
        run, lambda result: msgspec.structs.replace(result, latency=None, subscriptions=[], seconds=[Second(at_s=0)])
    )
    page = page_of(run)
    assert "No record was delivered." in page.texts
    assert "No duplicate and no refused request in the whole run." in page.texts


def test_hour_of_samples_makes_a_page_of_two_megabytes_at_most(tmp_path: Path) -> None:
    assert write_report(run_folders.soak(tmp_path)).stat().st_size < 2_000_000
