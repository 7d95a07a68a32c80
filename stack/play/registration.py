"""Registers the subscription over webhookd's API."""

import json
import urllib.error
import urllib.request

from stack.errors import NotStarted
from stack.play.orders import TOPIC

TIMEOUT_S = 15.0
PATH = "/1/Subscription"


def document(endpoint_url: str) -> str:
    """Return the subscription as it is posted: the orders of 100 and more, with an address for alerts."""
    return f"""\
{{ "name": "large orders",
  "source": [ {{ "topic": "{TOPIC}", "jmes_filters": ["total >= `100`"] }} ],
  "destination": {{ "webhook": {{ "url": "{endpoint_url}", "headers": ["X-Api-Key: secret"] }} }},
  "configuration": {{ "alerting": {{ "alert_emails": ["you@example.com"] }} }} }}"""


def register(api_url: str, body: str) -> str:
    """Post the subscription; returns its id. Raises NotStarted with the API's answer."""
    request = urllib.request.Request(  # noqa: S310 - the scheme is ours
        f"{api_url}{PATH}", body.encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - likewise
            return str(json.load(answer)["id"])
    except urllib.error.HTTPError as error:
        raise NotStarted(f"POST {PATH} was answered {error.code}: {error.read().decode(errors='replace')}") from None
    except OSError as error:
        raise NotStarted(f"POST {PATH} got no answer: {error}") from None
