"""The part of webhookd's API that a run needs: it registers subscriptions, and deletes them again."""

from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

ASK_TIMEOUT_S = 30.0
REPEATED = Retry(
    total=None,
    connect=0,
    read=0,
    other=0,
    redirect=0,
    status=10,
    backoff_factor=0.5,
    status_forcelist=[429, 503],
    allowed_methods=None,
    raise_on_status=False,
    respect_retry_after_header=True,
)
"""What was answered 429 or 503 was not done, so it can be asked again: after Retry-After, or longer each time."""

PATH = "/1/Subscription"
PAGE = 1000


class ApiError(Exception):
    """The API refused, or did not answer; the message says what and why."""


class NoApiAnswerError(ApiError):
    """The API did not answer: what was asked may have been done or not."""


class SubscriptionApi:
    """A client of the API at `url`. Every call blocks and raises ApiError; close it at the end.

    `trust_environment`: the proxies and certificates that the environment names are used. Not for this machine's own.
    """

    def __init__(self, url: str, key: str, *, trust_environment: bool) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = trust_environment
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=REPEATED))

    def check(self) -> None:
        """Raise ApiError unless the API is ready and accepts the key."""
        self._ask("GET", "/ready")
        self._ask("GET", PATH, params={"limit": "1"})

    def register(self, document: Mapping[str, Any]) -> str:
        """Create a subscription; returns its id."""
        created = self._ask("POST", PATH, document)
        return str(created["id"])

    def labelled(self, label: str) -> list[str]:
        """The ids of the first PAGE subscriptions with this label, written `name:value`."""
        found = self._ask("GET", PATH, params={"label": label, "limit": str(PAGE)})
        return [str(one["id"]) for one in found]

    def remove(self, id_: str) -> None:
        """Delete a subscription."""
        self._ask("DELETE", f"{PATH}/{id_}")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _ask(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 - JSON
        asked = f"{method} {self._url}{path}"
        try:
            answer = self._session.request(
                method, self._url + path, json=document, params=params, timeout=ASK_TIMEOUT_S
            )
        except requests.RequestException as error:
            raise NoApiAnswerError(f"{asked} got no answer: {error}") from error
        if not answer.ok:
            raise ApiError(f"{asked} was answered {answer.status_code}: {answer.text.strip()[:500]}")
        try:
            return answer.json() if answer.content else None
        except requests.JSONDecodeError:
            raise ApiError(f"{asked} was answered with something that is no JSON: is it webhookd's API?") from None
