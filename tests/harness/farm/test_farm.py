"""Whose fault it is decides what happens next: devices here are fakes, because their faults have to come on order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import cast

import pytest

from harness.config import DeviceEntry, Profile, load_profile
from harness.errors import DeviceLost, DeviceUnreachable, TakesDevicesDown, WrongOutput
from harness.farm.device import DeviceOpener, OpenDevice
from harness.farm.farm import MAX_FAILURES, Farm, Group, NoDeviceLeft
from harness.farm.session import Hello, Session

PROFILE = load_profile("stm32f405")
BOARDS = Group("stm32f405", emulated=False)


@dataclass
class FakeOpener:
    """Opens everything but what is in `gone`."""

    gone: set[str] = field(default_factory=set)
    opened: list[str] = field(default_factory=list)

    def open(self, name: str, entry: DeviceEntry, profile: Profile) -> OpenDevice:
        self.opened.append(name)
        if name in self.gone:
            raise DeviceUnreachable(name, "nobody answers")
        hello = Hello(1, 1, 1, 1, 1, profile.name, "firmware", "1")
        return OpenDevice(name, entry, profile, cast(Session, None), hello, None, ExitStack())


def farm_of(opener: FakeOpener, *names: str, stop: threading.Event | None = None) -> Farm:
    entry = DeviceEntry.model_validate({"profile": "stm32f405", "connection": {"kind": "serial", "port": "x"}})
    devices = [(name, entry, PROFILE) for name in names]
    return Farm(devices, cast(DeviceOpener, opener), stop or threading.Event())


def lost_on(*names: str) -> Callable[[OpenDevice], str]:
    def job(device: OpenDevice) -> str:
        if device.name in names:
            raise DeviceLost(device.name, "went away")
        return device.name

    return job


def test_a_device_fault_is_tried_again_on_another_device() -> None:
    assert farm_of(FakeOpener(), "a", "b").run(BOARDS, "job", lost_on("a")) == "b"


def test_a_retry_waits_for_another_device_rather_than_for_the_lost_one() -> None:
    opener = FakeOpener()
    farm = farm_of(opener, "lost", "busy")
    busy, release = threading.Event(), threading.Event()

    def hold(device: OpenDevice) -> str:
        if device.name == "lost":
            raise DeviceLost("lost", "went away")
        busy.set()
        release.wait(10)
        return device.name

    holder = threading.Thread(target=farm.run, args=(BOARDS, "hold", hold))
    holder.start()
    busy.wait(10)
    opener.gone.add("lost")
    threading.Timer(0.3, release.set).start()
    assert farm.run(BOARDS, "job", lost_on("lost")) == "busy"
    holder.join(10)


def test_a_candidate_fault_is_not_tried_again() -> None:
    tried: list[str] = []

    def job(device: OpenDevice) -> None:
        tried.append(device.name)
        raise WrongOutput("the candidate's own fault")

    with pytest.raises(WrongOutput):
        farm_of(FakeOpener(), "a", "b").run(BOARDS, "job", job)
    assert len(tried) == 1


def test_before_a_candidate_is_blamed_the_device_must_compute_the_golden_model() -> None:
    farm = farm_of(FakeOpener(), "rotten", "sound")
    works = {"rotten": True, "sound": True}

    def health(device: OpenDevice) -> None:
        if not works[device.name]:
            raise DeviceLost(device.name, "fails on the golden model")

    def job(device: OpenDevice) -> str:
        if device.name == "rotten":
            works["rotten"] = False  # its memory went bad after it was opened
            raise WrongOutput("wrong bytes")
        return device.name

    farm.health_check = health
    assert farm.run(BOARDS, "job", job) == "sound"


def test_a_candidate_that_takes_healthy_devices_down_is_blamed_and_the_device_stays_in_use() -> None:
    farm = farm_of(FakeOpener(), "only")
    for _ in range(3):
        with pytest.raises(TakesDevicesDown):
            farm.run(BOARDS, "crasher", lost_on("only"))
    assert farm.run(BOARDS, "next", lost_on()) == "only"


def test_a_device_that_cannot_be_opened_is_quarantined_and_no_longer_tried() -> None:
    opener = FakeOpener(gone={"a"})
    farm = farm_of(opener, "a")
    for _ in range(5):
        with pytest.raises(NoDeviceLeft):
            farm.run(BOARDS, "job", lost_on())
    assert len(opener.opened) == MAX_FAILURES
    assert farm.activities() == {"a": "quarantined"}


def test_an_emulated_device_never_stands_in_for_a_real_one() -> None:
    with pytest.raises(NoDeviceLeft):
        farm_of(FakeOpener(), "a").run(Group("stm32f405", emulated=True), "job", lost_on())


def test_waiting_for_a_busy_device_ends_when_the_study_is_stopped() -> None:
    stop, busy, release = threading.Event(), threading.Event(), threading.Event()
    farm = farm_of(FakeOpener(), "a", stop=stop)

    def hold(device: OpenDevice) -> None:
        busy.set()
        release.wait(10)

    holder = threading.Thread(target=farm.run, args=(BOARDS, "hold", hold))
    holder.start()
    busy.wait(10)
    stop.set()
    with pytest.raises(NoDeviceLeft, match="stopped"):
        farm.run(BOARDS, "job", lost_on())
    release.set()
    holder.join(10)


def test_enrolment_forgives_nothing() -> None:
    with pytest.raises(DeviceUnreachable):
        farm_of(FakeOpener(gone={"b"}), "a", "b").on_every_device(lost_on())
