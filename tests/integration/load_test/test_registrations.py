"""The subscriptions of a run are deleted at its end, whatever ended it.

The API is an HTTP server of the test: it keeps what it is told, and breaks some answers. Oracle: what it has at last.
"""

import io
import json
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from urllib.parse import parse_qs, urlsplit

import pytest
from rich.console import Console

from webhookd.testing.http_endpoint import Answer, HttpEndpoint, ReceivedRequest
from webhookd.testing.http_exchange import Misbehaviour
from webhookd_load_test.scenario.planned_subscription import PlannedSubscription, plan
from webhookd_load_test.scenario.registrations import Registrations
from webhookd_load_test.scenario.run_display import RunDisplay
from webhookd_load_test.scenario.scenario_file import Load, Scenario, Subscriptions
from webhookd_load_test.scenario.subscription_api import ApiError, NoApiAnswerError, SubscriptionApi


class Api:
    """Keeps labels by id. `broken` are answers by the number of the POST; one with status 200 has stored."""

    def __init__(self) -> None:
        self.stored: dict[str, str] = {"of-somebody-else": "team:billing"}
        self.broken: dict[int, Answer] = {}
        self.refuses_removal = False
        self._posts = count()
        self._ids = count()

    def handle(self, request: ReceivedRequest) -> Answer:
        url = urlsplit(request.path)
        if request.method == "POST":
            return self._register(json.loads(request.body))
        if request.method == "DELETE":
            if self.refuses_removal:
                return Answer(status=409, body=b'{"detail":"not now"}')
            del self.stored[url.path.rpartition("/")[2]]
            return Answer(status=204)
        (label,) = parse_qs(url.query)["label"]
        found = [{"id": id_} for id_, stored in self.stored.items() if stored == label]
        return Answer(body=json.dumps(found).encode())

    def _register(self, document: dict[str, dict[str, str]]) -> Answer:
        answer = self.broken.get(next(self._posts))
        if answer is not None and answer.status != 200:
            return answer
        ((name, value),) = document["labels"].items()
        id_ = f"id-{next(self._ids)}"
        self.stored[id_] = f"{name}:{value}"
        return answer or Answer(status=201, body=json.dumps({"id": id_}).encode())


class Site:
    """The API, a client of it, and what is shown."""

    def __init__(self, endpoint: HttpEndpoint, api: Api) -> None:
        self.api = api
        self.output = io.StringIO()
        self.client = SubscriptionApi(endpoint.url, "", trust_environment=False)
        self.registrations = Registrations(
            self.client, RunDisplay(1, Console(file=self.output, soft_wrap=True, width=400))
        )


@pytest.fixture
def site() -> Iterator[Site]:
    api = Api()
    with HttpEndpoint(api.handle) as endpoint:
        yield Site(endpoint, api)


@pytest.fixture
def planned() -> list[PlannedSubscription]:
    groups = [Subscriptions(name="one", count=4)]
    return plan(Scenario(name="s", summary="", load=Load(rows=1, duration_s=1.0), subscriptions=groups), ["t"])


def test_all_are_deleted_and_no_others(site: Site, planned: list[PlannedSubscription]) -> None:
    with site.registrations:
        registered = list(site.registrations.register(planned, "http://127.0.0.1:1"))
        assert [one.id for one in registered] == ["id-0", "id-1", "id-2", "id-3"]
        assert len(site.api.stored) == 5
    assert list(site.api.stored) == ["of-somebody-else"]


def test_one_whose_answer_was_lost_is_deleted_too(site: Site, planned: list[PlannedSubscription]) -> None:
    site.api.broken[2] = Answer(misbehaviour=Misbehaviour.BREAK)
    with pytest.raises(NoApiAnswerError), site.registrations:
        list(site.registrations.register(planned, "http://127.0.0.1:1"))
    assert list(site.api.stored) == ["of-somebody-else"]


def test_refused_registration_says_why_and_leaves_nothing(site: Site, planned: list[PlannedSubscription]) -> None:
    site.api.broken[1] = Answer(status=422, body=b'{"detail":"topic t is denied"}')
    with pytest.raises(ApiError, match=r"was answered 422: .*topic t is denied"), site.registrations:
        list(site.registrations.register(planned, "http://127.0.0.1:1"))
    assert list(site.api.stored) == ["of-somebody-else"]


def test_limited_registration_is_repeated(site: Site, planned: list[PlannedSubscription]) -> None:
    site.api.broken[0] = Answer(status=429, headers={"Retry-After": "0"})
    site.api.broken[2] = Answer(status=503, headers={"Retry-After": "0"})
    with site.registrations:
        assert len(list(site.registrations.register(planned, "http://127.0.0.1:1"))) == 4


def test_what_cannot_be_deleted_is_named(site: Site, planned: list[PlannedSubscription]) -> None:
    site.api.refuses_removal = True
    with site.registrations:
        list(site.registrations.register(planned, "http://127.0.0.1:1"))
    assert "not deleted, so delete them by their label load-test-run:" in site.output.getvalue()
    assert ": id-0, id-1, id-2, id-3" in site.output.getvalue()


def test_gateway_s_answer_is_one_line() -> None:
    with (
        HttpEndpoint(lambda _request: Answer(status=502)) as endpoint,
        closing(SubscriptionApi(endpoint.url, "", trust_environment=False)) as api,
        pytest.raises(ApiError, match="was answered 502: "),
    ):
        api.check()
