"""What the watchdog of an ingest process has logged of turns in which its loop did nothing else for a second."""

STUCK = '"event":"turn_stuck"'
STUCK_AS_TEXT = "turn_stuck "


def stuck_turns(log: str) -> list[str]:
    """The lines that say so, in a log of either format."""
    return [line for line in log.splitlines() if STUCK in line or STUCK_AS_TEXT in line]
