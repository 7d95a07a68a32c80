"""An application that raises leaves no request open, and is counted by the server that answers for it."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from api.description.operations import IDS, operation_id
from api.extensions.request_metrics import RequestMetrics
from webhookd.metrics.declaration import Process
from webhookd.metrics.exposition import Exposition


def broken(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
    raise RuntimeError("a fault outside of Flask")


def test_an_application_that_raises_leaves_no_request_open() -> None:
    exposition = Exposition(frozenset({Process.API}), lambda _error: None)
    with pytest.raises(RuntimeError, match="outside of Flask"):
        RequestMetrics(broken)({}, lambda *_: lambda _body: None)
    assert exposition.registry.get_sample_value("webhookd_api_requests_open") == 0
    assert "webhookd_api_requests_total" not in {
        sample.name for family in exposition.registry.collect() for sample in family.samples
    }
    exposition.close()


@pytest.mark.parametrize(
    ("method", "route", "operation"),
    [
        ("GET", "/1/Subscription/<uuid:subscription_id>", "getSubscription"),
        ("HEAD", "/1/Subscription/<uuid:subscription_id>", "getSubscription"),
        ("OPTIONS", "/1/Subscription/<uuid:subscription_id>", None),
        ("GET", "/health", "getHealth"),
        ("GET", "/docs/<name>", None),
    ],
)
def test_the_operation_of_a_route(method: str, route: str, operation: str | None) -> None:
    assert operation_id(method, route) == operation
    assert operation is None or operation in IDS.values()
