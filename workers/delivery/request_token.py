"""The access token of the requests of one delivery."""

from webhookd.edges.http_client.exchange import RequestSequence
from webhookd.flow.attempt.access_token import without_token
from webhookd.flow.attempt.exchange_result import Failure, Outcome, Response
from workers.delivery.access_tokens import TokenSource

UNAUTHORIZED_STATUS = 401


class RequestToken:
    """The token that the next request carries, as its header `line`; a batch whose token is refused gets another one.

    Used on the exchange loop's thread only, as its source is.
    """

    def __init__(self, source: TokenSource) -> None:
        self.line = b""
        self._source = source
        self._replaced_for = -1

    def take(self, now: float) -> bytes | Failure | None:
        """Update `line` for the next request and return it; else the failure for which there is none, or None: wait."""
        found = self._source.line(now)
        if isinstance(found, bytes):
            self.line = found
        return found

    def wait(self, sequence: RequestSequence, *, body_bytes: int = 0) -> None:
        """Submit this sequence again, with its `body_bytes`, when the token endpoint has answered, or failed."""
        self._source.wait(sequence, body_bytes=body_bytes)

    def hidden_in(self, outcome: Outcome) -> Outcome:
        """The outcome of a request without the token, which the endpoint may repeat in its answer."""
        return without_token(outcome, self.line) if self.line and isinstance(outcome, Response) else outcome

    def replaced(self, outcome: Outcome, batch: int, now: float) -> bool:
        """Whether the endpoint refused the token and this batch gets another one, which happens once for each batch."""
        refused = isinstance(outcome, Response) and outcome.status == UNAUTHORIZED_STATUS
        if not refused or self._replaced_for == batch or not self._source.refused(self.line, now):
            return False
        self._replaced_for = batch
        return True
