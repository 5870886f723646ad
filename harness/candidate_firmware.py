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
from harness.deploy import candidate_with_inputs
from harness.errors import CandidateError, UsageError
from harness.farm.measuring import VerificationSet
from harness.farm.single_run import measure
from harness.resources import agents_dir
from harness.results.folder import journaled_objectives
from harness.results.journal import Journal
from harness.results.records import DeviceRun

_PACKAGES = {"make": "make", "arm-none-eabi-gcc": "gcc-arm-none-eabi", "qemu-system-arm": "qemu-system-arm"}
_FILES = ("agent.elf", "agent.bin", "model.c", "model.dcc")
_IMAGES = 32


@dataclass(frozen=True)
class CandidateFirmware:
    """image: to be flashed. run: of the image on the emulated board, on test images."""

    profile: Profile
    image: Path
    run: DeviceRun


def export_firmware(journal: Journal, candidate_id: str, out: Path) -> CandidateFirmware:
    """Builds the image, has the emulated board verify it, and then writes it into a new or empty folder.

    The folder gets agent.elf, agent.bin, model.c (what the image was linked with) and model.dcc (the artifact, which
    `harness measure` sends to a board that was flashed with the image). Raises UsageError where a tool is missing or
    no device of the study runs firmware, CandidateError or DeviceError where the image does not fit or does not compute
    its model.
    """
    artifact, inputs = candidate_with_inputs(journal, candidate_id, _IMAGES)
    profile = _profile_with_port(journal, candidate_id)
    for tool, package in _PACKAGES.items():
        if shutil.which(tool) is None:
            raise UsageError(f"--format firmware: {tool} is missing: apt install {package}")
    try:
        make_empty_folder(out)
    except ExportError as error:
        raise UsageError(f"--out: {error}") from None
    with TemporaryDirectory(prefix="dccdka-firmware-") as folder:
        # Not in `out`: make and the shell would take its name apart.
        made = Path(folder)
        _build(artifact, candidate_id, profile, made)
        board = DeviceEntry(profile=profile.name, connection=QemuConnection(kind="qemu", firmware=made / "agent.elf"))
        run = measure(f"{candidate_id} in QEMU", board, artifact, VerificationSet(inputs))
        try:
            for name in _FILES:
                shutil.copyfile(made / name, out / name)
        except OSError as error:
            raise UsageError(f"--out {out}: cannot be written: {error.strerror}") from None
    return CandidateFirmware(profile, out / "agent.bin", run)


def _profile_with_port(journal: Journal, candidate_id: str) -> Profile:
    """Of the devices that the candidate was for, the target before all others, the first that runs firmware."""
    runs = journal.candidate(candidate_id).runs
    ports = sorted(port.name for port in (agents_dir() / "firmware" / "ports").iterdir() if port.is_dir())
    for name in (journaled_objectives(journal).profile, *(run.profile for run in runs)):
        if name in ports:
            return load_profile(name)
    raise UsageError(
        "--format firmware: no device of the study has a profile that there is firmware for"
        f" ({', '.join(ports)}); leave --format out for C that builds anywhere"
    )


def _build(artifact: Artifact, candidate_id: str, profile: Profile, folder: Path) -> None:
    """Makes _FILES in the folder."""
    (folder / "model.dcc").write_bytes(artifact.data)
    (folder / "model.c").write_text(image_source(artifact), encoding="utf-8")
    variables = [f"PORT={profile.name}", f"MODEL={folder / 'model.c'}", f"BUILD={folder}"]
    command = ["make", "--silent", "-C", str(agents_dir() / "firmware"), *variables]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        for line in made.stderr.splitlines():
            if "overflowed" in line:
                raise CandidateError(f"candidate {candidate_id}: does not fit a {profile.name}: {line.strip()}")
        reason = next((line for line in made.stderr.splitlines() if "error" in line), made.stderr[-300:])
        raise UsageError(f"--format firmware: the image does not build: {reason.strip()}")
    for name in ("agent.elf", "agent.bin"):
        shutil.copyfile(folder / "firmware" / profile.name / name, folder / name)
