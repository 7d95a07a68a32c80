"""The panels about requests to endpoints that several dashboards have."""

from typing import Final

from documentation.dashboards.panels import Unit, series
from documentation.dashboards.quantiles import quantiles

REQUESTS: Final = series(
    "Requests to endpoints",
    "By result: `acknowledged`, or the code of the failure.",
    Unit.REQUESTS_PER_S,
    {"{{result}}": "sum by (result) (rate(webhookd_attempts_total[$__rate_interval]))"},
    stacked=True,
)
DURATION: Final = series(
    "Duration of requests",
    "Name look-up and connecting included, until the response was read or failed.",
    Unit.SECONDS,
    quantiles("webhookd_attempt_duration_seconds"),
)
