"""Numbers with what they count, in the singular or the plural."""


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """A number with what it counts: `1 record`, `12,345 records`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
