"""docs/reference/problems: a page for each error code of the API, with the texts that the API serves at its `type`."""

import json
from collections.abc import Callable, Mapping
from functools import partial

from api.extensions.problem import PAGES, FieldError, Place, Problem
from api.extensions.problem_types import PROBLEM_TYPES, ProblemType
from documentation.reference.markdown import code, page

FOLDER = "problems"

TOPIC = FieldError("source[0].topic", "begins with __: such topics are internal to Kafka")
DENIED = FieldError("source[0].topic", "Kafka does not authorise webhookd to use this topic.")
NOT_ALLOWED = FieldError("source[0].topic", "No policy allows the tenant to read this topic.")
IF_MATCH = FieldError("If-Match", "names another version", Place.HEADER)
EXAMPLES: Mapping[str, tuple[int, str, FieldError | None]] = {
    "invalid_input": (422, "The document cannot be accepted.", TOPIC),
    "topic_denied": (422, "Kafka does not authorise webhookd to use this topic.", DENIED),
    "not_allowed": (403, "No policy allows the tenant to read this topic.", NOT_ALLOWED),
    "precondition_failed": (412, "The resource has another version than If-Match names: read it again.", IF_MATCH),
    "not_json": (400, "The body is not JSON at line 1, column 2: it ends before it is complete.", None),
    "method_not_allowed": (405, "This path supports only GET, HEAD, OPTIONS.", None),
    "error": (406, "Not Acceptable", None),
}
"""Status, detail and error of the examples where the title alone is not one."""


def problem_pages() -> Mapping[str, Callable[[], str]]:
    """The page of each code, by its file name."""
    return {f"{FOLDER}/{found.code}.md": partial(_page, found) for found in PROBLEM_TYPES.values()}


def _page(found: ProblemType) -> str:
    status, detail, error = EXAMPLES.get(found.code, (0, f"{found.title}.", None))
    example = Problem(
        status=status or int(found.status),
        code=found.code,
        title=found.title,
        detail=detail,
        errors=[error] if error else [],
        instance="urn:uuid:6f1c2a7e-52b0-4a6f-9d38-0f4f5a1f8b11" if found.code == "internal" else "",
    )
    return page(
        f"{found.title} ({code(found.code)})",
        f"HTTP status {found.status}. The member `type` of the answer is {code(PAGES + found.code)}, a path of the API "
        "at which it serves this text.",
        "## What it means",
        found.meaning,
        "## What to do",
        found.to_do,
        "## Example",
        f"```json\n{json.dumps(example.document(), indent=2)}\n```",
    )
