"""Request templates in memory, bounded in their number and in their bytes."""

from collections.abc import Iterator
from itertools import islice

from workers.delivery.delivery_sender import RequestTemplate
from workers.delivery.request_templates import size_bytes

MAX_CACHED = 10_000
"""The most templates in memory. When there would be more, the oldest half is dropped."""

MAX_CACHED_BYTES = 64 * 1024 * 1024
"""The most bytes of all templates together: one has about 2 kB, with certificates of its own up to some 100 kB."""


class BoundedTemplates:
    """Templates by subscription; the database still has what is dropped. Changes need a lock, reading does not."""

    def __init__(self, most: int = MAX_CACHED, most_bytes: int = MAX_CACHED_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._templates: dict[str, RequestTemplate] = {}
        self._bytes = 0

    def __iter__(self) -> Iterator[str]:
        """The subscriptions, the oldest template first."""
        return iter(self._templates)

    def get(self, subscription_id: str) -> RequestTemplate | None:
        """The template of a subscription."""
        return self._templates.get(subscription_id)

    def put(self, subscription_id: str, template: RequestTemplate) -> None:
        """Keep a template in place of the one before, and drop the oldest half as often as there is no room."""
        self.drop(subscription_id)
        size = size_bytes(template)
        while self._templates and (len(self._templates) >= self._most or self._bytes + size > self._most_bytes):
            for oldest in list(islice(self._templates, -(-len(self._templates) // 2))):
                self.drop(oldest)
        self._templates[subscription_id] = template
        self._bytes += size

    def drop(self, subscription_id: str) -> None:
        """Drop the template of a subscription, if there is one."""
        dropped = self._templates.pop(subscription_id, None)
        if dropped is not None:
            self._bytes -= size_bytes(dropped)
