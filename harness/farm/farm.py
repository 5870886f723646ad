"""The farm: devices in groups that can stand in for one another, leases on them, and their health.

A group is all devices of one profile that are alike in truth: real boards, or emulated ones. A job that ends in a
device fault is tried again on another device of the group; a job that ends in a candidate fault is not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from harness.config import DeviceEntry, Profile
from harness.errors import CandidateError, DeviceError, DoesNotFit, TakesDevicesDown
from harness.farm.device import DeviceOpener, OpenDevice

T = TypeVar("T")

MAX_ATTEMPTS = 3  # of one job: a candidate that takes three devices down is not sent to a fourth
MAX_FAILURES = 4  # of one device in a row: then it is quarantined; more than one candidate can bring about


@dataclass(frozen=True)
class Group:
    """Devices that may stand in for one another."""

    profile: str
    emulated: bool

    def __str__(self) -> str:
        return f"{self.profile} (emulated)" if self.emulated else self.profile


class NoDeviceLeft(DeviceError):
    """Every device of a group is lost or quarantined, or the job took too many down."""


@dataclass
class _Slot:
    name: str
    entry: DeviceEntry
    profile: Profile
    opened: OpenDevice | None = None
    leased: bool = False
    failures: int = 0
    activity: str = "idle"

    @property
    def quarantined(self) -> bool:
        return self.failures >= MAX_FAILURES


class Farm:
    """Thread-safe. health_check runs on every device right after it was opened and raises DeviceError to refuse it."""

    def __init__(
        self, devices: Sequence[tuple[str, DeviceEntry, Profile]], opener: DeviceOpener, stop: threading.Event
    ) -> None:
        self._opener = opener
        self._stop = stop
        self._changed = threading.Condition()
        self._slots = [_Slot(name, entry, profile) for name, entry, profile in devices]
        self.health_check: Callable[[OpenDevice], None] | None = None

    @property
    def size(self) -> int:
        return len(self._slots)

    def group_of(self, device: str) -> Group:
        return next(_group(slot) for slot in self._slots if slot.name == device)

    def groups(self) -> list[Group]:
        return list(dict.fromkeys(_group(slot) for slot in self._slots))

    def activities(self) -> dict[str, str]:
        """What each device does, for people."""
        with self._changed:
            return {slot.name: "quarantined" if slot.quarantined else slot.activity for slot in self._slots}

    def on_every_device(self, job: Callable[[OpenDevice], T]) -> dict[str, T]:
        """Runs the job on all devices at once. Raises the first device's error: enrolment forgives nothing."""

        def one(slot: _Slot) -> T:
            with self._exclusive(slot, "enrolling") as device:
                return job(device)

        with ThreadPoolExecutor(max_workers=len(self._slots)) as pool:
            futures = {slot.name: pool.submit(one, slot) for slot in self._slots}
        return {name: future.result() for name, future in futures.items()}

    def run(self, group: Group, what: str, job: Callable[[OpenDevice], T]) -> T:
        """Runs the job on a device of the group as soon as one is free.

        Raises NoDeviceLeft when no device could finish it, and whatever else the job raises. Before a candidate is
        blamed for a wrong result, the device must compute the golden model right; one that is lost three times by
        devices that did so just before is blamed for that.
        """
        last: DeviceError | None = None
        tried: list[_Slot] = []
        lost_at_work: list[_Slot] = []
        for _ in range(MAX_ATTEMPTS):
            slot = self._lease(group, tried, last)
            tried.append(slot)
            try:
                with self._exclusive(slot, what) as device:
                    try:
                        return job(device)
                    except DeviceError:
                        lost_at_work.append(slot)
                        raise
                    except DoesNotFit:
                        raise
                    except CandidateError:
                        self._check_health(slot, device)
                        raise
            except DeviceError as error:
                last = error
        if len(lost_at_work) == MAX_ATTEMPTS:
            for slot in lost_at_work:
                slot.failures = 0
            raise TakesDevicesDown(f"{what}: {MAX_ATTEMPTS} times a device that was well before was lost; last: {last}")
        raise NoDeviceLeft(str(group), f"{what} failed {MAX_ATTEMPTS} times; last: {last}")

    def close(self) -> None:
        with self._changed:
            for slot in self._slots:
                if slot.opened is not None:
                    slot.opened.close()
                    slot.opened = None

    def _lease(self, group: Group, tried: Sequence[_Slot], last: DeviceError | None) -> _Slot:
        with self._changed:
            while True:
                healthy = [slot for slot in self._slots if _group(slot) == group and not slot.quarantined]
                if not healthy:
                    raise NoDeviceLeft(str(group), f"no healthy device is left{f'; last: {last}' if last else ''}")
                # A retry goes to another device where there is one, and rather waits for it than for the same again.
                untried = [slot for slot in healthy if slot not in tried]
                free = [slot for slot in untried or healthy if not slot.leased]
                if free:
                    free[0].leased = True
                    return free[0]
                if self._stop.is_set():
                    raise NoDeviceLeft(str(group), "the study is being stopped")
                self._changed.wait(timeout=0.5)

    def _check_health(self, slot: _Slot, device: OpenDevice) -> None:
        if self.health_check is not None:
            slot.activity = "health check"
            self.health_check(device)

    @contextmanager
    def _exclusive(self, slot: _Slot, what: str) -> Iterator[OpenDevice]:
        try:
            slot.activity = what
            if slot.opened is None:
                slot.activity = "opening"
                slot.opened = self._opener.open(slot.name, slot.entry, slot.profile)
                self._check_health(slot, slot.opened)
                slot.activity = what
            yield slot.opened
            slot.failures = 0
        except CandidateError:
            slot.failures = 0
            raise
        except DeviceError:
            slot.failures += 1
            if slot.opened is not None:
                slot.opened.close()
                slot.opened = None
            raise
        finally:
            with self._changed:
                slot.leased = False
                slot.activity = "idle"
                self._changed.notify_all()


def _group(slot: _Slot) -> Group:
    return Group(slot.profile.name, slot.entry.emulated)
