"""The inventory: which devices there are and how each is reached (devices.yaml)."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.config.profile import Profile
from harness.config.yaml_file import StrictModel, read_model, wrong_key
from harness.errors import UsageError
from harness.resources import default_inventory

_EMULATED_ARCHITECTURE = "aarch64"  # of qemu-aarch64-static


class SerialConnection(StrictModel):
    """A board on a serial port, or anything that speaks the wire behind a URL that pyserial knows.

    emulated: an emulator that somebody else runs is behind the port; its timer counts instructions, not time.
    """

    kind: Literal["serial"]
    port: str
    emulated: bool = False


class QemuConnection(StrictModel):
    """A board that QEMU plays, started when it is needed. Its timer counts instructions, not cycles.

    firmware: what the board runs instead of the agent that `make firmware` builds, as of `harness export`.
    """

    kind: Literal["qemu"]
    firmware: Path | None = None


class SshConnection(StrictModel):
    """A Linux machine. Its host key must be in known_hosts already.

    key_file: null for the keys of ssh-agent and those with default names in ~/.ssh.
    """

    kind: Literal["ssh"]
    host: str
    port: int = Field(default=22, gt=0, lt=65536)
    user: str
    key_file: Path | None = None
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

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.user_emulator is not None and self.connection.kind not in ("ssh", "loopback-ssh"):
            raise wrong_key(
                "user_emulator",
                f"is for connections of kind ssh or loopback-ssh, this one is {self.connection.kind}; leave it out",
            )
        return self

    @property
    def emulated(self) -> bool:
        """Whether time on this device says nothing about the real board's."""
        return self.counts_instructions or self.user_emulator is not None

    @property
    def counts_instructions(self) -> bool:
        """Whether the ticks of a run are instructions and not time."""
        connection = self.connection
        return connection.kind == "qemu" or (connection.kind == "serial" and connection.emulated)


class Inventory(StrictModel):
    devices: dict[str, DeviceEntry] = Field(min_length=1)


def check_entry(name: str, entry: DeviceEntry, profile: Profile) -> None:
    """To be called before a device is opened. Raises UsageError where entry and profile cannot both be true."""
    architecture = profile.architecture
    if entry.user_emulator is not None and architecture != _EMULATED_ARCHITECTURE:
        raise UsageError(
            f"device {name}: {entry.user_emulator} runs programs for {_EMULATED_ARCHITECTURE}, profile {profile.name}"
            f" is of architecture {architecture}; leave user_emulator out, or name another profile"
        )
    foreign = architecture not in ("native", platform.machine())
    if entry.connection.kind == "loopback-ssh" and foreign and entry.user_emulator is None:
        # The kernel may run foreign programs by itself (binfmt_misc): their time would pass for the board's.
        raise UsageError(
            f"device {name}: loopback-ssh is this machine ({platform.machine()}), profile {profile.name} is of"
            f" architecture {architecture}; add `user_emulator: qemu-aarch64-static`, or use profile linux-host"
        )


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
