"""The records with which something is wrong, one in a row."""

from webhookd_load_test.report import number_format
from webhookd_load_test.report.table import Table
from webhookd_load_test.run_folder.result import DeviationKind, Result

LISTED = 100
"""How many records a list shows, of all subscriptions together."""

DEVIATIONS: dict[DeviationKind, str] = {
    "unexpected": "not expected",
    "place": "another place than Kafka acknowledged",
    "key": "another key than was published",
    "value": "another value than was published",
}


def missing_table(result: Result) -> Table | None:
    """The records that did not arrive; None when all did."""
    rows = [
        [one.name, lost.topic, str(lost.partition), _identifier(lost.offset), _identifier(lost.number)]
        for one in result.subscriptions
        for lost in one.missing
    ]
    columns = ["Subscription", "Topic", "Partition", "Offset", "Record"]
    return _listed("What is missing", columns, rows, sum(one.lost for one in result.subscriptions))


def disorder_table(result: Result) -> Table | None:
    """The records that arrived after later ones; None without any."""
    rows = [
        [one.name, late.topic, late.by, str(late.partition), _identifier(late.offset), _identifier(late.after_offset)]
        for one in result.subscriptions
        for late in one.disorder
    ]
    columns = ["Subscription", "Topic", "Order of", "Partition", "Offset", "Came after"]
    total = sum(one.disorders + one.key_disorders for one in result.subscriptions)
    return _listed("What came out of order", columns, rows, total, texts=3)


def deviation_table(result: Result) -> Table | None:
    """The deliveries that should have been other ones; None without any."""
    rows = [
        [one.name, DEVIATIONS[it.kind], it.topic, str(it.partition), str(it.offset), _identifier(it.number)]
        for one in result.subscriptions
        for it in one.deviations
    ]
    columns = ["Subscription", "What is wrong", "Topic", "Partition", "Offset", "Record"]
    total = sum(one.unexpected + one.wrong_places + one.wrong_keys + one.wrong_values for one in result.subscriptions)
    return _listed("What arrived and is wrong", columns, rows, total, texts=3)


def _listed(title: str, columns: list[str], rows: list[list[str]], total: int, *, texts: int = 2) -> Table | None:
    if not rows:
        return None
    shown = rows[:LISTED]
    about = f"The first {len(shown):,} of {total:,}." if total > len(shown) else ""
    return Table(title=title, columns=columns, rows=shown, texts=texts, about=about)


def _identifier(number: int | None) -> str:
    """An offset or the number of a record, as it is searched for in files and logs."""
    return number_format.UNKNOWN if number is None else str(number)
