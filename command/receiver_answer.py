"""What `webhookd receive` answers, and how that is changed while it runs."""

from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

CONTROL_PATH = "/receiver"
"""PUT changes the answer, GET shows it with the counts. Deliveries are POST requests, so they may have any path."""

STATUSES = range(200, 600)
LONGEST_S = 3600
"""Of `delay` and `retry_after`; webhookd waits no longer either."""

CONSENT = {"yes": True, "no": False}
EXAMPLE = f"PUT {CONTROL_PATH}?status=500&delay=2&retry_after=10"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverAnswer:
    """The answer to every request; if it `consents`, one that asks for consent gets it in place of a 2xx answer."""

    status: int = 200
    delay_s: float = 0.0
    retry_after_s: int | None = None
    consents: bool = True

    @property
    def acknowledges(self) -> bool:
        """Whether webhookd takes it for a success."""
        return self.status < 300

    def __str__(self) -> str:
        delay = f" after {self.delay_s:g} s" if self.delay_s else ""
        header = f" with Retry-After: {self.retry_after_s}" if self.retry_after_s is not None else ""
        return f"{self.status}{header}{delay}{'' if self.consents else ' without consent'}"


def changed(answer: ReceiverAnswer, query: str) -> ReceiverAnswer:
    """Return the answer as a query such as `status=500&delay=2` changes it. Raises ValueError with one line."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if not pairs:
        raise ValueError(f"says nothing; write {EXAMPLE}")
    for name, text in pairs:
        answer = _changed(answer, name, text)
    return answer


def _changed(answer: ReceiverAnswer, name: str, text: str) -> ReceiverAnswer:
    match name:
        case "status":
            return replace(answer, status=int(_number(name, text, STATUSES.start, STATUSES.stop - 1)))
        case "delay":
            return replace(answer, delay_s=_number(name, text, 0, LONGEST_S))
        case "retry_after":
            return replace(answer, retry_after_s=int(_number(name, text, 0, LONGEST_S)) if text else None)
        case "consent" if text in CONSENT:
            return replace(answer, consents=CONSENT[text])
        case "consent":
            raise ValueError(f"consent={text} is neither yes nor no; write {EXAMPLE}")
    raise ValueError(f"{name} is unknown; write {EXAMPLE}")


def _number(name: str, text: str, lowest: int, highest: int) -> float:
    try:
        value = float(text) if name == "delay" else int(text)
    except ValueError:
        value = float("nan")
    if not lowest <= value <= highest:
        raise ValueError(f"{name}={text} is not a number from {lowest} to {highest}; write {EXAMPLE}")
    return value
