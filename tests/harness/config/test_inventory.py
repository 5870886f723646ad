"""An inventory that would report one machine's time as another's is refused, and so is one that cannot work."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from harness.config import DeviceEntry, check_entry, load_inventory, load_profile
from harness.errors import UsageError
from harness.resources import default_inventory


def entry_from(tmp_path: Path, text: str) -> DeviceEntry:
    path = tmp_path / "devices.yaml"
    path.write_text(f"devices:\n  board: {{{text}}}\n")
    return load_inventory(path).devices["board"]


def test_every_device_of_the_default_inventory_fits_its_profile() -> None:
    for name, entry in load_inventory(default_inventory()).devices.items():
        check_entry(name, entry, load_profile(entry.profile))


@pytest.mark.parametrize("connection", ["{kind: qemu}", "{kind: serial, port: /dev/ttyUSB0}"])
def test_a_user_emulator_is_for_linux_machines_only(tmp_path: Path, connection: str) -> None:
    with pytest.raises(
        UsageError, match=r"devices.yaml:2: devices.board.user_emulator: is for connections of kind ssh"
    ):
        entry_from(tmp_path, f"profile: stm32f405, connection: {connection}, user_emulator: qemu-aarch64-static")


def test_a_pi_on_loopback_needs_an_emulator_lest_this_machines_time_is_reported_as_its(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = entry_from(tmp_path, "profile: raspberry-pi-3, connection: {kind: loopback-ssh}")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(UsageError, match=r"device board: loopback-ssh is this machine \(x86_64\).* add `user_emulator"):
        check_entry("board", entry, load_profile("raspberry-pi-3"))
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")  # then it may be the very Pi
    check_entry("board", entry, load_profile("raspberry-pi-3"))


def test_a_user_emulator_for_another_architecture_is_refused(tmp_path: Path) -> None:
    entry = entry_from(
        tmp_path, "profile: linux-host, connection: {kind: loopback-ssh}, user_emulator: qemu-aarch64-static"
    )
    with pytest.raises(UsageError, match=r"device board: qemu-aarch64-static runs programs for aarch64, .* native"):
        check_entry("board", entry, load_profile("linux-host"))


def test_without_a_key_file_the_agent_and_the_default_keys_are_used(tmp_path: Path) -> None:
    entry = entry_from(tmp_path, "profile: raspberry-pi-3, connection: {kind: ssh, host: pi3.lab, user: pi}")
    assert entry.connection.kind == "ssh" and entry.connection.key_file is None


def test_a_device_name_with_an_escape_sequence_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text('devices:\n  "\\e[31mboard": {profile: stm32f405, connection: {kind: qemu}}\n')
    with pytest.raises(UsageError, match=r"devices.yaml:2: not valid YAML: a text holds a control character"):
        load_inventory(path)
