"""Integer graph -> artifact, and the reference interpreter that defines what the artifact computes (FORMAT.md)."""

from dccdka.packing.artifact import Artifact, ArtifactError, ArtifactStatus
from dccdka.packing.errors import PackingError
from dccdka.packing.packer import pack
from dccdka.packing.reading import read_artifact
from dccdka.packing.reference import accuracy, run_reference, to_device_input

__all__ = [
    "Artifact",
    "ArtifactError",
    "ArtifactStatus",
    "PackingError",
    "accuracy",
    "pack",
    "read_artifact",
    "run_reference",
    "to_device_input",
]
