"""`Idempotency-Key`: a POST that is sent again makes its change once, and gets the same answer for 24 hours.

    @blueprint.response(201, …)
    @idempotent()
    def post(self, document): …          # calls `remember` in the transaction of the change

The answer is stored in the transaction of the change, so that a process that is killed after the commit and before the
response leaves it behind. What the response has besides (the warnings of a registration) is added when it is sent.
Only the answer to a change is stored. After a refusal (4xx) or a failure (5xx) nothing was changed: the key is free,
also for a corrected body. The same body is one with the same values, whatever the order of its fields. The statuses 409
and 422 are those of draft-ietf-httpapi-idempotency-key-header-07.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from http import HTTPStatus
from typing import Any, Final

from flask import Response, after_this_request, current_app, g, request
from flask.views import View as FlaskView
from flask_smorest import Blueprint
from sqlalchemy.orm import Session

from api.extensions.callers import current_caller, transaction
from api.ports import services_of
from webhookd import clock, logs
from webhookd.errors import InvalidInput, RequestInProgress, StoreUnavailable
from webhookd.store import idempotency_keys
from webhookd.store.idempotency_keys import Claim, KeyedRequest, StoredAnswer

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
ANONYMOUS: Final = "anonymous"
"""The owner of the keys of callers without an API key."""
KEPT_HEADERS: Final = ("Content-Type", "Location", "ETag")
RETRY_S: Final = 1

_QUOTED = re.compile(r'"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,255})"')
"""A string of RFC 9651 without escapes, as the draft has it."""
BARE: Final = r"[!#-+\--:<-\[\]-~]{1,255}"
_BARE = re.compile(BARE)
"""What most clients send: the same without quotes."""

PARAMETER: Final = {
    "in": "header",
    "name": HEADER,
    "description": "A text of 1 to 255 visible ASCII characters, best a new UUID for each change, in double quotes or "
    "without. The same request with the same key makes its change once, and gets the same answer for 24 hours, with "
    "the header `Idempotent-Replayed: true`.",
    "schema": {"type": "string", "pattern": f"^(?:{_QUOTED.pattern}|{BARE})$"},
}

View = Callable[..., Any]

_log = logs.get(__name__)


def idempotent(*, has_secret: bool = False) -> Callable[[View], View]:
    """Make a POST accept the header; it has to call `remember`.

    With `has_secret` a repetition gets what was given to `remember`, and never what the response had besides.
    """

    def decorated(view: View) -> View:
        @wraps(view)
        def once(*args: Any, **options: Any) -> Any:  # noqa: ANN401  # what the view takes and returns
            header = request.headers.get(HEADER)
            if header is None:
                return view(*args, **options)
            match _claimed(parse_key(header), _digest(args, options)):
                case StoredAnswer() as answer:
                    return _replayed(answer)
                case claimed:
                    g.idempotency_claim = claimed
                    after_this_request(partial(_settle, claimed, has_secret=has_secret))
                    return view(*args, **options)

        documented: View = Blueprint.doc(parameters=[PARAMETER])(once)
        return documented

    return decorated


def remember(
    session: Session,
    document: Any,  # noqa: ANN401  # any JSON there is
    headers: Mapping[str, str],
    status: HTTPStatus = HTTPStatus.CREATED,
) -> None:
    """Store the answer with this document in the transaction of the change; without a key do nothing.

    `headers` are those of the answer besides Content-Type.

    Raises RequestInProgress when the change must not be made, because a repetition of the request makes it.
    """
    claimed: Claim | None = g.get("idempotency_claim")
    if claimed is None:
        return
    kept = _kept({"Content-Type": "application/json", **headers})
    answer = StoredAnswer(status=status, headers=kept, body=json.dumps(document).encode())
    idempotency_keys.finish(session, claimed, answer)


def parse_key(header: str) -> str:
    """Return the key in a header; raises InvalidInput."""
    text = header.strip()
    if quoted := _QUOTED.fullmatch(text):
        return quoted[1]
    if _BARE.fullmatch(text):
        return text
    raise InvalidInput("is not 1 to 255 visible ASCII characters, in double quotes or without", field=HEADER)


def _claimed(key: str, digest: str) -> Claim | StoredAnswer:
    keyed = KeyedRequest(owner=current_caller().key_id or ANONYMOUS, key=key, digest=digest)
    try:
        with transaction(services_of(current_app)) as session:
            return idempotency_keys.claim(session, keyed, clock.wall_clock())
    except RequestInProgress:
        after_this_request(_with_retry_after)
        raise


def _digest(arguments: Sequence[object], options: Mapping[str, object]) -> str:
    """The digest of what makes two requests the same; the arguments are those of the view, read from the request."""
    values = [argument for argument in arguments if not isinstance(argument, FlaskView)]
    said = json.dumps([request.method, request.path, values, options], sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()


def _with_retry_after(response: Response) -> Response:
    response.headers["Retry-After"] = str(RETRY_S)
    return response


def _replayed(answer: StoredAnswer) -> Response:
    response = Response(answer.body, status=answer.status, headers=_kept(answer.headers))
    response.headers[REPLAYED] = "true"
    return response


def _settle(claimed: Claim, response: Response, *, has_secret: bool) -> Response:
    """Store the answer to a change as it is sent; free the key after any other."""
    succeeded = HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES
    if succeeded and has_secret:
        return response
    try:
        with transaction(services_of(current_app)) as session:
            if succeeded:
                idempotency_keys.complete(session, claimed, _answer_of(response))
            else:
                idempotency_keys.release(session, claimed)
    except StoreUnavailable as error:
        # The change has its answer already. A key that is not free becomes free by itself.
        _log.warning("idempotency_key_not_settled", code=error.code, detail=error.detail)
    return response


def _answer_of(response: Response) -> StoredAnswer:
    return StoredAnswer(
        status=response.status_code, headers=_kept(dict(response.headers)), body=bytes(response.get_data())
    )


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in KEPT_HEADERS}
