"""Linux devices, over the real SSH, and the instruction counter compute the reference interpreter's bytes."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest

from dccdka.packing import pack, read_artifact, run_reference
from dccdka.packing.conformance import random_graph, random_inputs
from harness.emulators.instruction_counter import count_instructions
from harness.emulators.loopback_sshd import LoopbackSshd
from harness.farm.session import Session
from harness.transports.agent_upload import LinuxAgent
from harness.transports.ssh import SshTransport
from harness.transports.ssh_host import SshHost

AGENTS = {
    "linux-host": (platform.machine(), ()),
    "raspberry-pi-3": ("aarch64", ("qemu-aarch64-static", "-cpu", "cortex-a53")),
}
SEEDS = range(12)
INPUTS = 32


@pytest.mark.parametrize("profile", AGENTS)
def test_outputs_over_ssh_are_the_reference_interpreters(profile: str, sshd: LoopbackSshd, linux_build: Path) -> None:
    architecture, emulator = AGENTS[profile]
    agent = LinuxAgent(profile, linux_build / "linux" / architecture / "runner", emulator)
    host = SshHost(sshd.host, sshd.port, sshd.user, sshd.key_file, sshd.known_hosts)
    with Session(SshTransport(host, agent, profile), profile) as session:
        hello = session.hello()
        assert hello.profile == profile
        for seed in SEEDS:
            generator = np.random.default_rng(seed)
            graph = random_graph(generator)
            artifact = read_artifact(pack(graph))
            inputs = random_inputs(generator, graph, INPUTS)
            loaded = session.load(artifact.data)
            assert loaded.arena_bytes == artifact.arena_bytes
            outputs = [session.verify(one.tobytes()) for one in inputs]
            expected = [one.tobytes()[: session.longest_output] for one in run_reference(artifact, inputs)]
            assert outputs == expected, f"seed {seed}"
            assert 0 < session.run(1, 2).arena_peak_bytes <= artifact.arena_bytes


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_is_counted_is_the_inference_itself(seed: int, linux_build: Path) -> None:
    generator = np.random.default_rng(seed)
    graph = random_graph(generator)
    artifact = read_artifact(pack(graph))
    (one,) = random_inputs(generator, graph, 1)
    image = linux_build / "counter" / "aarch64" / "counter.elf"
    counted = count_instructions(artifact.data, one.tobytes(), image=image)
    assert counted.output == run_reference(artifact, one[None])[0].tobytes()
    assert counted.instructions > 1000
    assert counted == count_instructions(artifact.data, one.tobytes(), image=image)
