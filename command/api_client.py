"""A client of the management API, which the embedded commands use over HTTP."""

from collections.abc import Mapping
from typing import Any

import requests

from webhookd.errors import InvalidInput, KafkaAuthenticationFailed, KafkaUnavailable, Unavailable

TIMEOUT_S = 15.0
"""Longer than the API's own timeouts for Kafka and the database."""

Document = dict[str, Any]


class ManagementClient:
    """A client of the API at `url`, with the key that it needs unless WEBHOOKD_API_AUTH is none.

    Every call raises InvalidInput for a 4xx response, Unavailable for other errors.
    """

    def __init__(self, url: str, key: str = "") -> None:
        self._url = url
        self._session = requests.Session()
        # The API is in this process: do not use a proxy from the environment.
        self._session.trust_env = False
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def register(self, document: Mapping[str, Any]) -> Document:
        """Create a subscription; no record that is produced after this call is missed."""
        created: Document = self._ask("POST", "/1/Subscription", document)
        return created

    def change(self, id_: str, document: Mapping[str, Any]) -> Document:
        """Replace a subscription."""
        changed: Document = self._ask("PUT", f"/1/Subscription/{id_}", document)
        return changed

    def subscriptions(self) -> list[Document]:
        """The first page of all subscriptions."""
        found: list[Document] = self._ask("GET", "/1/Subscription")
        return found

    def status(self, id_: str) -> Document:
        """A subscription's status."""
        status: Document = self._ask("GET", f"/1/Subscription/{id_}/Status")
        return status

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _ask(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        try:
            answer = self._session.request(method, self._url + path, json=document, timeout=TIMEOUT_S)
            content = answer.json()
        except requests.RequestException as error:
            raise Unavailable(f"the management API did not answer: {error}") from error
        if answer.ok:
            return content
        raise _error(answer.status_code, content)


def _error(status: int, problem: Document) -> InvalidInput | Unavailable:
    first = next(iter(problem.get("errors", [])), {"field": "", "reason": problem["detail"]})
    if problem["code"] == KafkaAuthenticationFailed.code:
        return KafkaAuthenticationFailed(problem["detail"])
    if problem["code"] == KafkaUnavailable.code:
        return KafkaUnavailable(problem["detail"])
    if status < 500:
        return InvalidInput(first["reason"], field=first["field"])
    return Unavailable(problem["detail"])
