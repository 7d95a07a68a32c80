"""Endpoints that show that they want the requests before they get any. Oracle: what the endpoints receive.

Real: API, ingest, worker, Kafka, Redis, Postgres. The endpoints are servers of this test, which consent when told to.
"""

import json
from collections.abc import Callable

from sqlalchemy import create_engine, text

from tests.acceptance.conftest import Starts
from tests.harness.pipeline import Pipeline, subscription_body, until
from tests.harness.receiver import OK, Receiver, Request
from webhookd.testing.http_endpoint import Answer

RECORDS = 12
ORIGIN = "hooks.example.com"


class Endpoint(Receiver):
    """Consents to what it is asked while it is `willing`; else it answers 200 to everything, as many servers do."""

    def __init__(self) -> None:
        self.willing = False
        super().__init__(self._answer)

    def _answer(self, request: Request) -> Answer:
        if not self.willing or request.messages:
            return OK
        if request.method == "OPTIONS":
            origin = request.headers["webhook-request-origin"]
            return Answer(headers={"WebHook-Allowed-Origin": origin})
        return Answer(body=json.dumps({"challenge": json.loads(request.body)["challenge"]}).encode())

    @property
    def asked(self) -> int:
        """How often it was asked."""
        return sum(not request.messages for request in self.requests)


def numbers() -> list[bytes]:
    return [json.dumps({"n": n}).encode() for n in range(RECORDS)]


def verified_by(kind: str) -> dict[str, object]:
    return {"verification": {"kind": kind}}


def asked_again(endpoints: list[Endpoint]) -> Callable[[], bool]:
    """Whether each of them was asked at least twice more."""
    before = [endpoint.asked for endpoint in endpoints]
    return lambda: all(one.asked >= count + 2 for one, count in zip(endpoints, before, strict=True))


def test_nothing_arrives_before_the_endpoint_consents(start_pipeline: Starts) -> None:
    with start_pipeline(WEBHOOKD_VERIFICATION_ORIGIN=ORIGIN) as pipeline, Endpoint() as echoing, Endpoint() as allowing:
        topic, endpoints = pipeline.topic(), [echoing, allowing]
        ids = [pipeline.subscribe(echoing.url, topic, webhook=verified_by("echo"))]
        ids.append(pipeline.subscribe(allowing.url, topic, webhook=verified_by("options")))
        pipeline.produce(topic, numbers())
        until(asked_again(endpoints), "both are asked again and again")
        until(lambda: all(shows_refusal(pipeline, id_) for id_ in ids), "the status shows what they answer")

        pipeline.kill("ingest")
        pipeline.start("ingest")
        until(asked_again(endpoints), "both are asked by the next process")
        assert [endpoint.records for endpoint in endpoints] == [0, 0]

        echoing.willing = allowing.willing = True
        for endpoint in endpoints:
            endpoint.wait_for_records(RECORDS)
        for id_ in ids:
            pipeline.wait_committed(id_, topic)
        assert [(one.repeats, one.out_of_order) for one in endpoints] == [(0, 0), (0, 0)]
        assert {request.headers.get("webhook-request-origin") for request in allowing.requests if request.messages} == {
            ORIGIN
        }
        assert all("webhook-signature" in request.headers for request in echoing.requests)

        moves_to_another_url(pipeline, ids[0], topic)
        assert echoing.records == RECORDS


def shows_refusal(pipeline: Pipeline, id_: str) -> bool:
    delivery = pipeline.status(id_)["delivery"]
    failure = delivery["last_failure"] or {}
    return delivery["state"] == "unverified" and failure.get("code") == "consent_missing"


def let_change_age(pipeline: Pipeline, id_: str) -> None:
    """Set back the time of the last change: for some seconds after it the API refuses to have the endpoint asked."""
    engine = create_engine(pipeline.database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE subscriptions SET changed_at = 0 WHERE id = :id"), {"id": id_})
    engine.dispose()


def moves_to_another_url(pipeline: Pipeline, id_: str, topic: str) -> None:
    """A changed URL is asked anew; what is produced meanwhile arrives there once it consents."""
    with Endpoint() as moved:
        path = f"/1/Subscription/{id_}"
        pipeline.ask("PUT", path, subscription_body(moved.url, topic, webhook=verified_by("echo")))
        pipeline.produce(topic, numbers())
        until(asked_again([moved]), "the new URL is asked")
        let_change_age(pipeline, id_)
        pipeline.ask("POST", f"{path}/Verification")
        until(asked_again([moved]), "it is asked on request")
        assert moved.records == 0
        moved.willing = True
        moved.wait_for_records(RECORDS)
        assert (moved.repeats, moved.out_of_order) == (0, 0)
