"""The order in which the files of tests run."""

from tests.harness.file_order import spread, unit_of

WAITING = ["w1", "w2"]
OTHERS = [f"o{number}" for number in range(5)]


def test_files_that_wait_are_spread_among_the_others() -> None:
    assert spread(WAITING, OTHERS) == ["w1", "o0", "o1", "o2", "w2", "o3", "o4"]


def test_each_kind_may_be_alone() -> None:
    assert spread(WAITING, []) == WAITING
    assert spread([], OTHERS) == OTHERS


def test_files_that_wait_outnumber_the_others() -> None:
    assert spread(["w1", "w2", "w3", "w4"], ["o0", "o1"]) == ["w1", "o0", "w2", "w3", "o1", "w4"]


def test_files_of_a_shared_service_run_in_one_piece() -> None:
    folder = "tests/acceptance/shared_service/"
    assert {unit_of(f"{folder}{name}::test_it[a::b]") for name in ("test_one.py", "test_two.py")} == {folder}


def test_any_other_file_runs_by_itself() -> None:
    assert unit_of("tests/acceptance/test_run.py::test_it[a::b]") == "tests/acceptance/test_run.py"
