"""What has to happen to dead letters before their lane goes on: a row each, and an attempt to copy them to a topic."""

from collections.abc import Callable
from typing import Protocol

from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.subscription import Subscription
from workers.ingest.graveyard import Graveyard
from workers.ingest.recorder import Recorder

COPY_S = 1.0
"""How long a lane waits for the first attempt to copy its dead letters, once their rows are committed: the thread that
copies may be waiting for another topic."""


class Calls(Protocol):
    """The ingest loop's thread; both methods may be called from any other."""

    def call(self, action: Callable[[], None]) -> None:
        """Run it there."""

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run it there after a while."""


class LetterWriter:
    """Used by the ingest loop's thread."""

    def __init__(
        self, recorder: Recorder, graveyard: Graveyard, loop: Calls, told: Callable[[str, int, int], None]
    ) -> None:
        """`told` hears on the loop's thread how much room a subscription has, and the limit."""
        limit = recorder.letters.limit
        recorder.letters.told = lambda id_, free: loop.call(lambda: told(id_, free, limit))
        self._recorder = recorder
        self._graveyard = graveyard
        self._loop = loop

    def write(self, subscription: Subscription, letters: list[DeadLetter], safe: Callable[[], None]) -> None:
        """Put records aside; `safe` runs on the loop's thread when their lane may go on."""
        topic = subscription.retry.dead_letter_topic

        def stored() -> None:
            if not topic:
                self._loop.call(safe)
                return
            once = _Once(safe)
            self._graveyard.append(topic, letters, lambda: self._loop.call(once))
            self._loop.call_later(COPY_S, once)

        self._recorder.bury(letters, stored)

    def ask_room(self, subscription: Subscription) -> None:
        """Have `told` called with the room that the database has for its dead letters."""
        self._recorder.letters.ask(subscription.id)
        self._recorder.wake()

    def forget(self, subscription: Subscription) -> None:
        """It is not run any more: its dead letters that wait for room are read again by who runs it next."""
        self._recorder.letters.forget(subscription.id)

    def copy_trouble(self, subscription: Subscription) -> str | None:
        """Why copies of its dead letters fail; empty while they do not, None where nothing is known since the start."""
        topic = subscription.retry.dead_letter_topic
        return self._graveyard.trouble(topic, subscription.id) if topic else ""


class _Once:
    """Runs an action the first time it is called."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def __call__(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()
