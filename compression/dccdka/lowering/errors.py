"""The error of a network that cannot be lowered."""


class LoweringError(Exception):
    """A module or operator has no integer form here; the message names it and says what to use instead."""
