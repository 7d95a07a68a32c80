"""A sender whose requests carry access tokens. The test gives it tokens, feeds it outcomes and moves the clock."""

from dataclasses import replace

import pytest

from tests.harness.delivery_senders import LIMITS, OK, End, SenderScene, answer, end_of, no_answer
from webhookd.flow.attempt.attempt_report import LoggedExchange, ReportKind
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Response
from webhookd.flow.destination import RateLimit
from webhookd.flow.dispatch.request_quota import Permit, Quota, SendSchedule
from webhookd.flow.subscription import Retry
from workers.delivery.access_tokens import TokenSource
from workers.delivery.delivery_sender import DeliverySender, Pacing


class Tokens(TokenSource):
    """A token source whose tokens and failures come from the test."""

    def __init__(self, *found: bytes | Failure | None) -> None:
        self.found = list(found)
        self.waiting: list[object] = []
        self.refused_lines: list[bytes] = []
        self.replaces = True

    def line(self, now: float) -> bytes | Failure | None:  # noqa: ARG002  # as the source declares it
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]

    def wait(self, sequence: object, *, body_bytes: int = 0) -> None:
        assert body_bytes == 0, "deliveries keep as much of a response as the setting says"
        self.waiting.append(sequence)

    def refused(self, line: bytes, now: float) -> bool:  # noqa: ARG002  # as the source declares it
        self.refused_lines.append(line)
        return self.replaces


T1, T2 = b"Authorization: Bearer token-number-1\r\n", b"Authorization: Bearer token-number-2\r\n"


def scene_with(tokens: Tokens, retry: Retry | None = None) -> SenderScene:
    scene = SenderScene(retry)
    scene.template = replace(scene.template, tokens=tokens)
    return scene


def test_request_carries_its_token() -> None:
    scene = scene_with(Tokens(T1))
    request = scene.sender().advance(None) or b""
    head, _, body = request.partition(b"\r\n\r\n")
    assert (head.startswith(scene.template.head), body) == (True, b"body-0")
    assert head.count(b"Authorization:") == (head + b"\r\n").count(b"\r\n" + T1) == 1


def test_wait_for_a_token_is_no_exchange_and_costs_no_budget() -> None:
    tokens = Tokens(None, T1)
    scene = scene_with(tokens)
    sender = scene.sender(batches=2)
    assert sender.advance(None) is None
    assert (tokens.waiting, scene.ended) == ([sender], [])
    scene.now += LIMITS.lease_s - 0.1
    assert scene.body_of(sender.advance(None)) == b"body-0"
    assert scene.body_of(sender.advance(OK)) == b"body-1"
    sender.advance(OK)
    assert end_of(scene) == End(ReportKind.FINISHED, 2)
    assert sender.report().sending_s == pytest.approx(LIMITS.lease_s - 0.1), "a slow token endpoint is slow"


def test_stopped_while_it_waits_for_a_token_sends_nothing() -> None:
    scene = scene_with(Tokens(None, T1))
    sender = scene.sender()
    sender.advance(None)
    sender.stopped = True
    assert sender.advance(None) is None
    assert end_of(scene) == End(ReportKind.FINISHED, 0)


@pytest.mark.parametrize(("retries", "kind"), [(1, ReportKind.RETRY), (0, ReportKind.EXHAUSTED)])
def test_missing_token_is_a_failed_attempt(retries: int, kind: ReportKind) -> None:
    failure = Failure(
        code=FailureCode.TOKEN_REFUSED, detail="it answered 401", elapsed_s=0.1, sent=False, retry_after_s=40.0
    )
    scene = scene_with(Tokens(failure), Retry(max_retries=retries))
    sender = scene.sender(batches=2)
    assert sender.advance(None) is None
    assert end_of(scene) == End(kind, 0)
    logged = LoggedExchange(scene.wall, "msg_0", error="token_refused", detail="it answered 401")
    assert (sender.report().failure, sender.report().wait_s) == (logged, 40.0)


def test_missing_token_because_of_the_stop_is_no_failure() -> None:
    scene = scene_with(Tokens(no_answer(FailureCode.SHUTDOWN)))
    sender = scene.sender()
    assert sender.advance(None) is None
    assert (end_of(scene), sender.failure_code) == (End(ReportKind.FINISHED, 0), "")


def test_unauthorized_is_sent_again_with_another_token() -> None:
    tokens = Tokens(T1, None, T2)
    scene = scene_with(tokens)
    sender = scene.sender(batches=2)
    sender.advance(None)
    assert sender.advance(answer(401)) is None, "it waits"
    assert (tokens.refused_lines, tokens.waiting, scene.ended) == ([T1], [sender], [])
    again = sender.advance(None) or b""
    assert (T2 in again, scene.body_of(again)) == (True, b"body-0")
    assert scene.body_of(sender.advance(OK)) == b"body-1"
    assert sender.advance(OK) is None
    assert (end_of(scene), sender.failure_code) == (End(ReportKind.FINISHED, 2), "")


def test_second_unauthorized_is_the_status_of_the_endpoint() -> None:
    tokens = Tokens(T1, T2)
    scene = scene_with(tokens)
    sender = scene.sender()
    sender.advance(None)
    assert sender.advance(answer(401)) is not None
    assert sender.advance(answer(401)) is None
    assert (end_of(scene), sender.failure_code) == (End(ReportKind.EXHAUSTED, 0), "http_401")
    assert tokens.refused_lines == [T1]


def test_unauthorized_without_another_token_is_the_status_of_the_endpoint() -> None:
    tokens = Tokens(T1)
    tokens.replaces = False
    scene = scene_with(tokens)
    sender = scene.sender()
    sender.advance(None)
    assert sender.advance(answer(401)) is None
    assert sender.failure_code == "http_401"


def test_unauthorized_without_tokens_is_not_sent_again() -> None:
    scene = SenderScene()
    sender = scene.sender()
    sender.advance(None)
    assert sender.advance(answer(401)) is None
    assert end_of(scene) == End(ReportKind.EXHAUSTED, 0)


def test_token_that_the_endpoint_repeats_is_not_reported() -> None:
    scene = scene_with(Tokens(T1))
    sender = scene.sender()
    sender.advance(None)
    sender.advance(Response(status=500, head=b"HTTP/1.1 500 Oh", body=b"you sent token-number-1", elapsed_s=0.0))
    failure = sender.report().failure
    assert failure is not None
    assert failure.body == b"you sent ****"


class PacedSender:
    """A sender with one permit in 0.1 s, and the waits for them that it has asked for."""

    def __init__(self, scene: SenderScene) -> None:
        self.waits: list[float] = []
        quota = Quota(subject="s1", rate=RateLimit(per_second=10.0, burst=1))
        permit = Permit(holder="d1.0", quotas=(quota,), reserved=(1,), ahead_s=(0.0,))
        made = scene.sender()
        self.sender = DeliverySender(
            made.ref,
            made.batches,
            scene.template,
            limits=LIMITS,
            clocks=scene.clocks,
            ended=scene.ended.append,
            pacing=Pacing(SendSchedule(permit, scene.now), lambda _sender, wait_s: self.waits.append(wait_s)),
        )

    def taken(self) -> tuple[int, ...]:
        """How many requests of the permit were begun."""
        used = self.sender.used_permit()
        assert used is not None
        return used.taken


def test_token_is_asked_for_before_a_permit_is_used() -> None:
    scene = scene_with(Tokens(None, T1))
    paced = PacedSender(scene)
    assert paced.sender.advance(None) is None
    assert (paced.taken(), paced.waits) == ((0,), [])
    assert T1 in (paced.sender.advance(None) or b"")
    assert paced.taken() == (1,)


def test_unauthorized_needs_a_permit_of_its_own_for_the_next_request() -> None:
    """Of the two waits that follow, only that for the token is time of the endpoint."""
    scene = scene_with(Tokens(T1, None, T2))
    paced = PacedSender(scene)
    assert paced.sender.advance(None) is not None
    assert paced.sender.advance(answer(401)) is None, "it waits for a token"
    scene.now += 0.03
    assert paced.sender.advance(None) is None, "it waits for a permit"
    assert paced.waits == pytest.approx([0.07])
    assert paced.taken() == (1,)
    scene.now += 0.07
    assert T2 in (paced.sender.advance(None) or b"")
    assert paced.taken() == (2,)
    scene.now += 0.01
    assert paced.sender.advance(OK) is None
    assert end_of(scene) == End(ReportKind.FINISHED, 1)
    assert paced.sender.elapsed_s == pytest.approx(0.04)
