"""A candidate as firmware of its own: the agent, this one model in flash, and what that needs of the runtime."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dccdka.export.c_library import make_empty_folder
from dccdka.export.errors import ExportError
from dccdka.export.firmware_image import image_source
from dccdka.packing import Artifact
from harness.config import DeviceEntry, Profile, QemuConnection, load_profile
from harness.config.inventory import entry_of, find_inventory, load_inventory
from harness.deploy import candidate_with_inputs
from harness.errors import UsageError
from harness.farm.measuring import VerificationSet
from harness.farm.single_run import measure
from harness.resources import agents_dir
from harness.results.folder import journaled_config
from harness.results.journal import Journal
from harness.results.records import DeviceRun

_PACKAGES = {"make": "make", "arm-none-eabi-gcc": "gcc-arm-none-eabi", "qemu-system-arm": "qemu-system-arm"}
_IMAGES = 32


@dataclass(frozen=True)
class CandidateFirmware:
    """image: to be flashed. run: of the image on the emulated board, on test images."""

    profile: Profile
    image: Path
    run: DeviceRun


def export_firmware(journal: Journal, candidate_id: str, out: Path) -> CandidateFirmware:
    """Builds the image, has the emulated board verify it, and writes it into a new or empty folder.

    The folder gets agent.elf, agent.bin, model.c (what the image was linked with) and model.dcc (the artifact, which
    `harness measure` sends to a board that was flashed with the image). Raises UsageError where a tool is missing or
    no device of the study runs firmware, CandidateError or DeviceError where the image does not compute its model.
    """
    artifact, inputs = candidate_with_inputs(journal, candidate_id, _IMAGES)
    profile = _profile_with_port(journal)
    for tool, package in _PACKAGES.items():
        if shutil.which(tool) is None:
            raise UsageError(f"--format firmware: {tool} is missing: apt install {package}")
    try:
        make_empty_folder(out)
    except ExportError as error:
        raise UsageError(f"--out {out}: {error}") from None
    (out / "model.dcc").write_bytes(artifact.data)
    _build(artifact, profile, out)
    board = DeviceEntry(profile=profile.name, connection=QemuConnection(kind="qemu", firmware=out / "agent.elf"))
    run = measure(f"{candidate_id} in QEMU", board, artifact, VerificationSet(inputs))
    return CandidateFirmware(profile, out / "agent.bin", run)


def _profile_with_port(journal: Journal) -> Profile:
    """Of the study's first device that runs firmware, the target before all others."""
    config = journaled_config(journal)
    path = find_inventory(config.inventory)
    inventory = load_inventory(path)
    names = dict.fromkeys([config.target, *config.devices])
    profiles = [load_profile(entry_of(inventory, path, name).profile) for name in names]
    ports = sorted(port.name for port in (agents_dir() / "firmware" / "ports").iterdir() if port.is_dir())
    for profile in profiles:
        if profile.name in ports:
            return profile
    raise UsageError(
        f"--format firmware: no device of the study runs firmware (there is some for {', '.join(ports)});"
        " leave --format out for C that builds anywhere"
    )


def _build(artifact: Artifact, profile: Profile, out: Path) -> None:
    model = out / "model.c"
    model.write_text(image_source(artifact), encoding="utf-8")
    with TemporaryDirectory(prefix="dccdka-firmware-") as build:
        variables = [f"PORT={profile.name}", f"MODEL={model.resolve()}", f"BUILD={build}"]
        command = ["make", "--silent", "-C", str(agents_dir() / "firmware"), *variables]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            reason = next((line for line in made.stderr.splitlines() if "error" in line or "overflowed" in line), "")
            raise UsageError(f"{model}: does not link for a {profile.name}: {reason or made.stderr.strip()[-300:]}")
        for name in ("agent.elf", "agent.bin"):
            shutil.copyfile(Path(build) / "firmware" / profile.name / name, out / name)
