"""What every export raises."""


class ExportError(Exception):
    """The export cannot be written: the message says why and what to do."""
