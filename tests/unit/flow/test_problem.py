"""Problems of a subscription. Oracle: the table in flow/status/problem.py, case by case; there are no fakes."""

from webhookd.flow.status.problem import Problem, Problems

DENIED = Problem(code="topic_denied", detail="orders", since=10.0, standing=True)
MISSING = Problem(code="topic_missing", since=20.0, standing=True)
FAILED = Problem(code="http_500", since=5.0)


def problems(*begun: Problem) -> Problems:
    found = Problems()
    for problem in begun:
        found.begin(problem)
    return found


def test_without_problem_there_is_no_reason() -> None:
    assert (Problems().reason, Problems().all) == ("", ())


def test_standing_problem_comes_before_delivery_problem() -> None:
    assert problems(FAILED, DENIED).reason == "topic_denied"


def test_reason_is_the_oldest_standing_problem() -> None:
    assert problems(MISSING, DENIED).reason == "topic_denied"


def test_delivery_ends_delivery_problem_only() -> None:
    found = problems(FAILED, MISSING)
    assert found.delivered()
    assert found.all == (MISSING,)
    assert not found.delivered()


def test_end_leaves_the_others() -> None:
    found = problems(FAILED, MISSING, DENIED)
    assert found.end("topic_denied")
    assert found.all == (MISSING, FAILED)
    assert not found.end("topic_denied")


def test_new_delivery_problem_replaces_the_previous_one() -> None:
    found = problems(FAILED, Problem(code="http_503", since=9.0))
    assert [problem.code for problem in found.all] == ["http_503"]


def test_same_problem_again_keeps_its_start_time() -> None:
    found = problems(DENIED)
    assert not found.begin(Problem(code="topic_denied", detail="orders", since=99.0, standing=True))
    assert found.all == (DENIED,)


def test_new_detail_is_a_change_and_keeps_the_start_time() -> None:
    found = problems(DENIED)
    assert found.begin(Problem(code="topic_denied", detail="orders, bills", since=99.0, standing=True))
    assert found.all[0].since == DENIED.since


def test_problems_survive_a_restart() -> None:
    found = Problems(problems(FAILED, DENIED).all)
    assert found.all == (DENIED, FAILED)
    assert "topic_denied" in found
    assert "http_500" not in found
