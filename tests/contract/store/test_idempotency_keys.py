"""Idempotency keys on both databases: who gets to make a change, and what the others get."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from webhookd.errors import IdempotencyKeyReused, RequestInProgress
from webhookd.store import idempotency_keys
from webhookd.store.database import Database
from webhookd.store.idempotency_keys import IN_PROGRESS_S, KEPT_S, Claim, KeyedRequest, StoredAnswer

REQUEST = KeyedRequest(owner="key-1", key="a", digest="d")
ANSWER = StoredAnswer(status=201, headers={"Location": "/1"}, body=b'{"a": "\xc3\xa4"}')
NOW = 1764374400.123457


def claim(database: Database, now: float = NOW, request: KeyedRequest = REQUEST) -> Claim | StoredAnswer:
    with database.transaction() as session:
        return idempotency_keys.claim(session, request, now)


def claimed(database: Database, now: float = NOW) -> Claim:
    found = claim(database, now)
    assert isinstance(found, Claim)
    return found


def finish(database: Database, held: Claim, answer: StoredAnswer = ANSWER) -> None:
    with database.transaction() as session:
        idempotency_keys.finish(session, held, answer)


def test_answer_is_kept_for_a_day(database: Database) -> None:
    finish(database, claimed(database))
    assert claim(database, NOW + KEPT_S - 1.0) == ANSWER
    assert isinstance(claim(database, NOW + KEPT_S), Claim)


def test_other_request_with_the_key_is_refused_before_and_after_the_answer(database: Database) -> None:
    other = KeyedRequest(owner="key-1", key="a", digest="other")
    held = claimed(database)
    with pytest.raises(IdempotencyKeyReused):
        claim(database, NOW + 1.0, other)
    finish(database, held)
    with pytest.raises(IdempotencyKeyReused):
        claim(database, NOW + 1.0, other)


def test_callers_do_not_share_keys(database: Database) -> None:
    finish(database, claimed(database))
    assert isinstance(claim(database, NOW, KeyedRequest(owner="key-2", key="a", digest="other")), Claim)


def test_request_of_a_dead_process_is_taken_over_after_the_bound(database: Database) -> None:
    dead = claimed(database)
    with pytest.raises(RequestInProgress):
        claim(database, NOW + IN_PROGRESS_S - 1.0)
    second = claimed(database, NOW + IN_PROGRESS_S)
    with pytest.raises(RequestInProgress):
        finish(database, dead)
    with database.transaction() as session:
        idempotency_keys.complete(session, dead, StoredAnswer(status=201, body=b"late"))
        idempotency_keys.release(session, dead)
    finish(database, second)
    assert claim(database, NOW + IN_PROGRESS_S) == ANSWER


def test_refused_request_frees_the_key_and_an_answered_one_does_not(database: Database) -> None:
    held = claimed(database)
    with database.transaction() as session:
        idempotency_keys.release(session, held)
    again = claimed(database, NOW + 1.0)
    finish(database, again)
    with database.transaction() as session:
        idempotency_keys.release(session, again)
    assert claim(database, NOW + 1.0) == ANSWER


def test_answer_as_it_was_sent_replaces_the_one_of_the_transaction(database: Database) -> None:
    held = claimed(database)
    finish(database, held)
    sent = StoredAnswer(status=201, headers={}, body=b"sent")
    with database.transaction() as session:
        idempotency_keys.complete(session, held, sent)
    assert claim(database) == sent


def test_one_of_many_at_the_same_moment_gets_it(database: Database) -> None:
    def attempt(_: int) -> str:
        try:
            return type(claim(database)).__name__
        except RequestInProgress as error:
            return error.code

    with ThreadPoolExecutor(8) as threads:
        found = sorted(threads.map(attempt, range(8)))
    assert found == ["Claim", *["request_in_progress"] * 7]


def test_old_keys_are_purged_in_bounded_steps(database: Database) -> None:
    for number in range(4):
        claim(database, NOW + number, KeyedRequest(owner="o", key=str(number), digest=""))
    with database.transaction() as session:
        assert [idempotency_keys.purge(session, NOW + 3.0 + KEPT_S, limit=2) for _ in range(3)] == [2, 1, 0]
