"""How the answer of `webhookd receive` is changed while it runs.

Oracle: the answer that the query asks for. Nothing is doubled.
"""

import pytest

from command.receiver_answer import ReceiverAnswer, changed


def test_query_changes_what_it_names() -> None:
    answer = changed(ReceiverAnswer(), "status=503&retry_after=10")
    assert answer == ReceiverAnswer(status=503, retry_after_s=10)
    assert changed(answer, "delay=1.5") == ReceiverAnswer(status=503, retry_after_s=10, delay_s=1.5)
    assert changed(answer, "status=200&retry_after=") == ReceiverAnswer()
    assert changed(answer, "consent=no&status=200&retry_after=") == ReceiverAnswer(consents=False)
    assert changed(ReceiverAnswer(consents=False), "consent=yes") == ReceiverAnswer()


def test_answer_says_all_that_it_does() -> None:
    assert str(ReceiverAnswer(status=503, retry_after_s=10, delay_s=1.5)) == "503 with Retry-After: 10 after 1.5 s"
    assert str(ReceiverAnswer()) == "200"
    assert str(ReceiverAnswer(consents=False)) == "200 without consent"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "says nothing"),
        ("status=700", "status=700 is not a number from 200 to 599"),
        ("status=", "status= is not a number"),
        ("delay=nan", "delay=nan is not a number from 0 to 3600"),
        ("retry_after=1.5", "retry_after=1.5 is not"),
        ("code=500", "code is unknown"),
        ("consent=maybe", "consent=maybe is neither yes nor no"),
    ],
)
def test_wrong_query_is_one_line_with_the_right_form(query: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^" + said + r".*; write PUT /receiver\?status=500&delay=2&retry_after=10$"):
        changed(ReceiverAnswer(), query)
