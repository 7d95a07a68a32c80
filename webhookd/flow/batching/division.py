"""Divides a rendered batch into smaller ones of the same records, in their order.

A part has another `webhook-id` than the whole, since it is other content; it is the id that any batch of exactly these
records has.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from webhookd.flow.batching.batch import Batch
from webhookd.flow.batching.envelope import body, room_bytes
from webhookd.flow.batching.envelope_reader import RenderedElement, elements_of
from webhookd.flow.batching.webhook_id import webhook_id_of_mixed


def halves(subscription_id: str, batch: Batch) -> list[Batch]:
    """Two batches of half the records each, the first one with the odd record."""
    elements = list(elements_of(batch.body))
    middle = (len(elements) + 1) // 2
    return [_batch(subscription_id, elements[:middle]), _batch(subscription_id, elements[middle:])]


def within(subscription_id: str, batch: Batch, size_bytes: int) -> list[Batch]:
    """As few batches as possible whose bodies have at most `size_bytes`; a record that is larger has one of its own."""
    return [_batch(subscription_id, part) for part in _parts(elements_of(batch.body), room_bytes(size_bytes))]


def _parts(elements: Iterable[RenderedElement], room: int) -> Iterator[list[RenderedElement]]:
    part: list[RenderedElement] = []
    free = room
    for element in elements:
        free -= len(element.text) + 1
        if free < 0 and part:
            yield part
            part, free = [], room - len(element.text) - 1
        part.append(element)
    yield part


def _batch(subscription_id: str, elements: Sequence[RenderedElement]) -> Batch:
    lanes = groupby(elements, lambda element: (element.topic, element.partition))
    parts = [(topic, partition, [element.offset for element in of]) for (topic, partition), of in lanes]
    id_ = webhook_id_of_mixed(subscription_id, parts)
    return Batch(id_, len(elements), body(element.text for element in elements))
