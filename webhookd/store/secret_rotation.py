"""Encrypts every stored secret with the first key, and counts by which keys secrets are encrypted.

A row is locked while it is rewritten, and its version stays: processes go on, and a change that was read before is
written with the first key too (SecretKeys.resealed). Every function works inside the caller's transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from webhookd.errors import UnusableSubscription
from webhookd.flow.destination import Destination, RequestLimits, Sealed, secrets_of
from webhookd.store import secret_keys
from webhookd.store.destination_rows import destination_of, to_columns
from webhookd.store.secret_keys import SecretKeys
from webhookd.store.tables import SubscriptionRow

ROWS = 100
"""How many rows one transaction locks; with ten secrets in each it takes 0.2 s of CPU."""


class State(StrEnum):
    """How the secrets of a subscription are stored."""

    NONE = "no secrets"
    FIRST_KEY = "encrypted with the first key"
    OTHER_KEY = "encrypted with another key"
    UNENCRYPTED = "not encrypted"
    UNREADABLE = "decrypted by no key"


WORST_FIRST = (State.UNREADABLE, State.UNENCRYPTED, State.OTHER_KEY, State.FIRST_KEY)
"""A subscription with secrets in several states has the first of these."""

COLUMNS = (SubscriptionRow.url, SubscriptionRow.headers, SubscriptionRow.destination, SubscriptionRow.secrets)


@dataclass(frozen=True, slots=True)
class Counted:
    """The states of a page of subscriptions by their ids, in the order of the ids; empty after the last page."""

    states: dict[str, State]

    @property
    def last(self) -> str:
        """The id at which the next page continues."""
        return max(self.states)


def count(session: Session, after: str) -> Counted:
    """The states of the next subscriptions after the one with this id; "" for the first ones."""
    keys = secret_keys.of_session(session)
    return Counted({id_: _read(session, id_, keys)[0] for id_ in _ids(session, after)})


def rotate(session: Session, after: str) -> Counted:
    """Encrypt what is not encrypted with the first key; returns the states before, as `count` does.

    What no key decrypts stays as it is.
    """
    keys, states = secret_keys.of_session(session), {}
    for id_ in _ids(session, after):
        states[id_], destination = _read(session, id_, keys, lock=True)
        if states[id_] in {State.OTHER_KEY, State.UNENCRYPTED} and destination is not None:
            columns = to_columns(destination, RequestLimits(), keys)
            written = {name: columns[name] for name in ("headers", "secrets")}
            session.execute(update(SubscriptionRow).where(SubscriptionRow.id == id_).values(**written))
    return Counted(states)


def _ids(session: Session, after: str) -> Sequence[str]:
    query = select(SubscriptionRow.id).where(SubscriptionRow.id > after).order_by(SubscriptionRow.id)
    return session.scalars(query.limit(ROWS)).all()


def _read(session: Session, id_: str, keys: SecretKeys, *, lock: bool = False) -> tuple[State, Destination | None]:
    """The state of one subscription, and its destination if the row can be read; each row is read by itself."""
    query = select(*COLUMNS).where(SubscriptionRow.id == id_)
    try:
        row = session.execute(query.with_for_update() if lock else query).first()
        if row is None:  # deleted meanwhile
            return State.NONE, None
        destination = destination_of(row._asdict())
    except (ValueError, UnusableSubscription):  # a column that is not JSON is a ValueError
        return State.UNREADABLE, None
    found = {_state(value, keys) for value in secrets_of(destination)}
    return next((state for state in WORST_FIRST if state in found), State.NONE), destination


def _state(value: str, keys: SecretKeys) -> State:
    if not isinstance(value, Sealed):
        return State.UNENCRYPTED
    place = keys.place(value)
    if place is None:
        return State.UNREADABLE
    return State.OTHER_KEY if place else State.FIRST_KEY
