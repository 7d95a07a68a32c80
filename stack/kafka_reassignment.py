"""Plans which brokers hold the replicas of partitions, when a broker comes or goes.

The first replica of a partition is its preferred leader. Every plan keeps the number of replicas of each partition.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from stack.errors import ChangeRefused

Partition = tuple[str, int]
"""Topic and number."""

Replicas = tuple[int, ...]
Assignment = Mapping[Partition, Replicas]


def share(now: Assignment, newcomer: int, brokers: Collection[int]) -> dict[Partition, Replicas]:
    """The partitions to change so that a new broker holds its fair share of the replicas, and leads its fair share.

    The shares are rounded up. `brokers` are all brokers, the new one included. What it gets comes from those that have
    the most. Returns the partitions that change; each has the new broker.
    """
    planned = dict(now)
    replicas = sum(map(len, now.values()))
    for _ in range(_share(replicas, brokers) - _held(planned)[newcomer]):
        _take_replica(planned, newcomer)
    for _ in range(_share(len(now), brokers) - _led(planned)[newcomer]):
        _take_lead(planned, newcomer)
    return _changed(now, planned)


def drain(now: Assignment, leaving: int, others: Collection[int]) -> dict[Partition, Replicas]:
    """The partitions to change so that a broker holds none. Its replicas go to those that have the fewest.

    Raises ChangeRefused when a partition has more replicas than there are other brokers.
    """
    planned = dict(now)
    for partition in [partition for partition, replicas in now.items() if leaving in replicas]:
        _replace(planned, partition, leaving, others)
    return _changed(now, planned)


def document(plan: Assignment) -> str:
    """The plan as Kafka's tool reads it."""
    partitions = [
        {"topic": topic, "partition": number, "replicas": list(replicas)}
        for (topic, number), replicas in sorted(plan.items())
    ]
    return json.dumps({"version": 1, "partitions": partitions})


def _share(count: int, brokers: Collection[int]) -> int:
    return -(-count // len(brokers))


def _held(assignment: Assignment) -> Counter[int]:
    return Counter(broker for replicas in assignment.values() for broker in replicas)


def _led(assignment: Assignment) -> Counter[int]:
    return Counter(replicas[0] for replicas in assignment.values())


def _changed(now: Assignment, planned: Assignment) -> dict[Partition, Replicas]:
    return {partition: replicas for partition, replicas in planned.items() if replicas != now[partition]}


def _take_replica(planned: dict[Partition, Replicas], newcomer: int) -> None:
    """Move one replica of the broker that holds the most: if there is a choice, one that follows.

    The new broker follows too, unless the partition has no other replica.
    """
    held = _held(planned)
    free = sorted(partition for partition, replicas in planned.items() if newcomer not in replicas)
    partition, giver = max(
        ((partition, broker) for partition in free for broker in planned[partition]),
        key=lambda choice: (held[choice[1]], planned[choice[0]].index(choice[1])),
    )
    replaced = _replaced(planned[partition], giver, newcomer)
    if replaced[0] == newcomer and len(replaced) > 1:
        replaced = _led_by(replaced, min(replaced[1:], key=_led(planned).__getitem__))
    planned[partition] = replaced


def _take_lead(planned: dict[Partition, Replicas], newcomer: int) -> None:
    """Let it lead one more of the partitions that it follows: one of the broker that leads the most."""
    led = _led(planned)
    followed = sorted(partition for partition, replicas in planned.items() if newcomer in replicas[1:])
    chosen = max(followed, key=lambda partition: led[planned[partition][0]])
    planned[chosen] = _led_by(planned[chosen], newcomer)


def _replace(planned: dict[Partition, Replicas], partition: Partition, leaving: int, others: Collection[int]) -> None:
    replicas = planned[partition]
    candidates = sorted(set(others) - set(replicas) - {leaving})
    if not candidates:
        raise ChangeRefused(
            f"broker {leaving} cannot be removed: {partition[0]} has {len(replicas)} replicas, and the others that "
            f"run are {len(set(others) - {leaving})}"
        )
    led = _led(planned)
    held = _held(planned)
    replaced = _replaced(replicas, leaving, min(candidates, key=held.__getitem__))
    if replicas[0] == leaving:
        replaced = _led_by(replaced, min(_running(replaced, others), key=led.__getitem__))
    planned[partition] = replaced


def _running(replicas: Replicas, others: Collection[int]) -> Iterable[int]:
    return (broker for broker in replicas if broker in others)


def _replaced(replicas: Replicas, old: int, new: int) -> Replicas:
    return tuple(new if broker == old else broker for broker in replicas)


def _led_by(replicas: Replicas, leader: int) -> Replicas:
    return (leader, *(broker for broker in replicas if broker != leader))
