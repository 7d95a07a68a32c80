"""What makes the folder of a run unusable."""


class UnusableFolderError(Exception):
    """A folder that cannot be compared: the message names the file, the field and the reason."""
