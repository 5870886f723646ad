"""The inventory: which devices there are and how each is reached (devices.yaml)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from harness.config.yaml_file import StrictModel, read_model
from harness.errors import UsageError
from harness.resources import default_inventory


class SerialConnection(StrictModel):
    """A board on a serial port, or anything that speaks the wire behind a URL that pyserial knows."""

    kind: Literal["serial"]
    port: str


class QemuConnection(StrictModel):
    """A board that QEMU plays, started when it is needed. Its timer counts instructions, not cycles."""

    kind: Literal["qemu"]


class SshConnection(StrictModel):
    """A Linux machine. Its host key must be in known_hosts already."""

    kind: Literal["ssh"]
    host: str
    port: int = Field(default=22, gt=0, lt=65536)
    user: str
    key_file: Path = Path("~/.ssh/id_ed25519")
    known_hosts: Path = Path("~/.ssh/known_hosts")


class LoopbackSshConnection(StrictModel):
    """This machine, through an sshd of the harness's own on 127.0.0.1, started when it is needed."""

    kind: Literal["loopback-ssh"]


Connection = Annotated[
    SerialConnection | QemuConnection | SshConnection | LoopbackSshConnection, Field(discriminator="kind")
]


class DeviceEntry(StrictModel):
    """One device. user_emulator names the user-mode emulator that runs another machine's binaries over SSH."""

    profile: str
    connection: Connection
    user_emulator: Literal["qemu-aarch64-static"] | None = None

    @property
    def emulated(self) -> bool:
        """Whether time on this device says nothing about the real board's."""
        return self.connection.kind == "qemu" or self.user_emulator is not None


class Inventory(StrictModel):
    devices: dict[str, DeviceEntry] = Field(min_length=1)


def find_inventory(given: Path | None) -> Path:
    """The file given, else devices.yaml here, else the one that comes with the harness (emulators only)."""
    if given is not None:
        return given
    local = Path("devices.yaml")
    return local if local.is_file() else default_inventory()


def load_inventory(path: Path) -> Inventory:
    return read_model(path, Inventory)


def entry_of(inventory: Inventory, path: Path, name: str) -> DeviceEntry:
    """Raises UsageError naming the devices there are."""
    entry = inventory.devices.get(name)
    if entry is None:
        raise UsageError(f"{path}: no device named {name!r}; known: {', '.join(sorted(inventory.devices))}")
    return entry
