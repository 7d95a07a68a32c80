"""Takes back a delivery whose batch of several records was refused as a whole, so that its lanes send smaller ones.

delivery    413                                               400, 409, 422 (`on_rejected: split`)
one lane    the bound of the subscription is halved; the      its halves go back, before the unsent batches
            batch goes back with the unsent ones, and is cut
            to the bound before it is sent
several     likewise; the records go back to their lanes      likewise; each half of the lanes is a group, whose records
lanes       and leave without waiting for others              are sent together

So a record that is refused stands alone after at most 2 · log₂ n requests for n records, and everything before it has
been sent. The lanes keep their epochs, and no record is read again. That the endpoint refused is no failed attempt: the
records are other content in each smaller batch.
"""

from collections.abc import Sequence
from itertools import islice

from webhookd.flow.attempt.attempt_report import LoggedExchange
from webhookd.flow.attempt.judge import TOO_LARGE_STATUS
from webhookd.flow.batching import division
from webhookd.flow.batching.batch import Batch
from webhookd.flow.batching.envelope_reader import elements_of
from webhookd.flow.batching.rendered_record import Group
from webhookd.flow.dispatch.delivery import Delivery, Lane


def take_back_divided(delivery: Delivery, refusal: LoggedExchange | None, now: float) -> None:
    """Return the batches that are not acknowledged to the delivery's lanes, the refused one in parts."""
    refused, *unsent = delivery.batches[delivery.done :]
    del delivery.batches[delivery.done :]
    if delivery.pace is not None:
        delivery.pace.give_back(unsent)
    too_large = refusal is not None and refusal.status == TOO_LARGE_STATUS
    if too_large:
        delivery.lanes[0].bound.too_large(len(refused.body), now)
    if len(delivery.lanes) > 1:
        _return_records(delivery.lanes, delivery.records_per_lane or (), refused)
        if not too_large:
            _group_halves(delivery)
        return
    lane = delivery.lanes[0]
    lane.put_back(unsent)
    if delivery.records_per_lane is not None:  # the bytes of a mixed batch are not in its lanes' counts
        lane.buffered_bytes += len(refused.body)
    lane.put_back_divided(refused, [refused] if too_large else division.halves(delivery.subscription_id, refused))


def _return_records(lanes: Sequence[Lane], records_per_lane: Sequence[int], batch: Batch) -> None:
    elements = elements_of(batch.body)
    for lane, records in zip(lanes, records_per_lane, strict=True):
        lane.put_back_records([(element.offset, element.text) for element in islice(elements, records)])


def _group_halves(delivery: Delivery) -> None:
    """Divide the lanes so that each half has about as many records; a lane is not divided as long as there are two."""
    counts = delivery.records_per_lane or ()
    total, before = sum(counts), 0
    for index, (lane, records) in enumerate(zip(delivery.lanes, counts, strict=True)):
        first = index == 0 or (2 * before + records <= total and index < len(counts) - 1)
        lane.group = Group(name=f"{delivery.id}/{1 if first else 2}", records=records)
        before += records
