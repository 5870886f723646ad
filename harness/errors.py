"""Every error that the harness raises on purpose, sorted by who is at fault; that decides what happens next.

Candidate faults are told to the searcher and never retried. Device faults count against the device and are retried on
another device of the profile. Usage faults end the command with a message. Nothing else is caught by name: a bug
stays visible.
"""

from __future__ import annotations

EXIT_USAGE = 2
EXIT_DEVICE = 3


class HarnessError(Exception):
    """Root of all; str(error) is one line for the user: what happened, to what, and what to do."""

    exit_code = 1


class UsageError(HarnessError):
    """A file, key or argument is wrong. The message names the file and the key or line."""

    exit_code = EXIT_USAGE


class DeviceError(HarnessError):
    """A device is lost, hung, was reset, or its link is corrupt. The message names the device."""

    exit_code = EXIT_DEVICE

    def __init__(self, device: str, message: str) -> None:
        super().__init__(f"device {device}: {message}")
        self.device = device


class DeviceUnreachable(DeviceError):
    """Nobody answers at the port or host, or the host is not the one we know."""


class DeviceLost(DeviceError):
    """The device answered before and does not any more, or was reset in the middle."""


class ProtocolMismatch(DeviceError):
    """The agent speaks another protocol version, or is the agent of another profile."""


class CandidateError(HarnessError):
    """The candidate itself is at fault; another device would say the same."""


class DoesNotFit(CandidateError):
    """The artifact does not fit the device, or breaks a limit of the study. needed and available are in `unit`."""

    def __init__(self, resource: str, needed: float, available: float, unit: str, where: str) -> None:
        figures = "{:.0f} {}" if unit == "B" else "{:.4g} {}"
        super().__init__(
            f"{resource}: needs {figures.format(needed, unit)}, {where} allows {figures.format(available, unit)}"
        )
        self.needed = needed
        self.available = available

    @property
    def violation(self) -> float:
        """How far beyond what is available, as a share of it (0.2: 20% too large)."""
        return self.needed / max(self.available, 1e-12) - 1


class ArtifactRejected(CandidateError):
    """The runtime's loader or executor refused the artifact."""


class WrongOutput(CandidateError):
    """The device's output differs from the reference interpreter's."""


class TakesDevicesDown(CandidateError):
    """Devices that computed the golden model right just before are lost, again and again, while they run this."""


class NotPackable(CandidateError):
    """The network cannot be lowered or packed; the message names the module and what to use instead."""
