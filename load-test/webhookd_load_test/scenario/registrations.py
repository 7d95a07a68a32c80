"""The subscriptions of a run at the API: registered before the load, and deleted at its end, whatever ends it."""

import secrets
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from webhookd_load_test.run_folder.facts import RunSubscription
from webhookd_load_test.scenario.planned_subscription import PlannedSubscription
from webhookd_load_test.scenario.run_display import RunDisplay
from webhookd_load_test.scenario.subscription_api import ApiError, NoApiAnswerError, SubscriptionApi

LABEL = "load-test-run"
"""The label of every subscription; its value belongs to this run alone."""

SHOWN = 20


class Registrations:
    """A context: at its end every subscription with this run's label is deleted.

    By the label also one is found whose registration was interrupted before its id was known. What cannot be deleted is
    named; an error then is not raised, since it would hide what ended the run.
    """

    def __init__(self, api: SubscriptionApi, display: RunDisplay) -> None:
        self._api = api
        self._display = display
        self._run = secrets.token_hex(8)
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._remove_all()
        finally:
            self._api.close()

    def register(self, planned: Sequence[PlannedSubscription], receiver_url: str) -> Iterator[RunSubscription]:
        """Register the subscriptions, each when it is asked for. Raises ApiError."""
        self._begun = True
        for one in self._display.progress(planned, "registering subscriptions"):
            document = {**one.document(receiver_url), "labels": {LABEL: self._run}}
            yield one.registered(self._api.register(document))

    def _remove_all(self) -> None:
        """Delete a page of subscriptions until none is left; ends when the API does not answer or refuses a page."""
        while self._begun:
            left = self._left()
            if not left:
                return
            failed = self._remove(left)
            if failed:
                self._name(failed)
                return

    def _left(self) -> list[str]:
        try:
            return self._api.labelled(f"{LABEL}:{self._run}")
        except ApiError as error:
            self._display.say(f"subscriptions with the label {LABEL}:{self._run} may be left at the API: {error}")
            return []

    def _remove(self, ids: Sequence[str]) -> list[str]:
        """Delete them; returns those that were not. After one without an answer no other one is tried."""
        failed: list[str] = []
        for position, id_ in enumerate(self._display.progress(ids, "deleting subscriptions")):
            try:
                self._api.remove(id_)
            except NoApiAnswerError:
                return [*failed, *ids[position:]]
            except ApiError:
                failed.append(id_)
        return failed

    def _name(self, failed: Sequence[str]) -> None:
        more = f" and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
        self._display.say(
            f"not deleted, so delete them by their label {LABEL}:{self._run}: {', '.join(failed[:SHOWN])}{more}"
        )
