"""What a candidate takes of a device's flash: its artifact, and the code that a program of its own links."""

from __future__ import annotations

from dccdka.packing import Artifact
from dccdka.packing.costs import packaged_costs
from dccdka.packing.parts import RuntimeParts
from harness.farm.device import OpenDevice
from harness.results.measurement import Measurement


def flash_of(device: OpenDevice, artifact: Artifact) -> Measurement:
    """Of what `harness export` writes of the artifact, not of the agent, which can execute any other artifact too.

    Measured where the device runs firmware of this one model, and on machines with a file system, which keep one
    runtime for all; elsewhere the sizes of the parts that are needed are added up, and the sum is an estimate.
    """
    sizes = packaged_costs(device.profile.core).code
    stored = len(artifact.data)
    if sizes.runtime == 0 or device.hello.has_one_model:
        code = device.hello.runtime_code_bytes
        method = f"artifact {stored} B + runtime code and constants {code} B as linked"
        return Measurement(device.name, device.profile.name, "flash", stored + code, "measured", 1, None, method)
    parts = RuntimeParts.of(artifact)
    code = sizes.of(parts.kernels, parts.encodings, parts.kinds)
    method = f"artifact {stored} B + runtime code and constants {code} B, the sum of the parts that it needs"
    return Measurement(device.name, device.profile.name, "flash", stored + code, "estimated", 1, None, method)
