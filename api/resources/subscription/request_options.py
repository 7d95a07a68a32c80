"""The fields that say what a request is: its method, its size, and which answers acknowledge or divide a batch."""

from typing import Final

from api.extensions.request_fields import Choice, ListOf, Text, WholeNumber
from api.resources.subscription import validators
from webhookd.flow.destination import DEFAULT_SUCCESS_CODES, Method
from webhookd.flow.subscription import OnRejected

SUCCESS_CODES_MOST: Final = 20
BATCH_BYTES_LEAST: Final = 1000
BATCH_BYTES_MOST: Final = 1 << 28
"""The largest WEBHOOKD_DELIVERY_BYTES, at which batches are closed in any case."""

METHOD: Final = Choice(
    [method.value for method in Method],
    load_default=Method.POST.value,
    metadata={"description": "The method of the requests."},
)

SUCCESS_CODES: Final = ListOf(
    Text(expected='a status such as "201", or a class such as "2xx"', validate=validators.success_code),
    least=1,
    most=SUCCESS_CODES_MOST,
    load_default=lambda: list(DEFAULT_SUCCESS_CODES),
    metadata={
        "description": "The statuses that acknowledge a batch, from 200 to 599: single ones and classes. Any other "
        "status is a failure. A redirection is not followed, even if it is listed.",
        "example": ["200", "202"],
    },
)

MAX_BATCH_BYTES: Final = WholeNumber(
    BATCH_BYTES_LEAST,
    BATCH_BYTES_MOST,
    load_default=None,
    allow_none=True,
    metadata={
        "description": "How many bytes the body of a request has at most. A record that is larger is sent alone. "
        "`null`: only the operator's bound holds (`WEBHOOKD_DELIVERY_BYTES`)."
    },
)

ON_REJECTED: Final = Choice(
    [policy.value for policy in OnRejected],
    load_default=OnRejected.WHOLE.value,
    metadata={
        "description": "What happens when the endpoint refuses a batch of several records with 400, 409 or 422. "
        "`whole`: no attempt is left for any of them, so that `on_exhausted` applies to the batch. `split`: the batch "
        "is halved until each record that is refused stands alone; `on_exhausted` applies to that record, and the "
        "others are delivered."
    },
)
