"""The fuzzer of loader and executor: that it finds what it is for, and that its corpus has what it starts from."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from benchmarks import host_runtime
from benchmarks.host_runtime import Answer
from dccdka.lowering.graph import Convolution, IntegerGraph, Operator, Requantisation, Scaling, Tensor, Window
from dccdka.packing import Artifact, ArtifactError, pack, read_artifact
from dccdka.packing.choice import Encoding, Kernel
from dccdka.packing.conformance import random_choices, random_graph, random_inputs

from .test_hostile_artifacts import FOLLOWING, overlapping

ROOT = Path(__file__).parents[3]
RUNTIME = ROOT / "agents" / "runtime"
CORPUS = RUNTIME / "fuzz" / "corpus"
LARGEST = 256 << 10  # arena of the fuzzer, input of the guarded driver: what is larger does not run
ARENA_TOO_SMALL = 12


def build(*variables: str) -> None:
    subprocess.run(["make", "-s", "-C", RUNTIME / "fuzz", *variables], check=True)


@pytest.fixture(scope="module")
def fuzzer() -> Path:
    build()
    return ROOT / "build" / "fuzz" / "fuzz_artifact"


@pytest.fixture(scope="module", params=["gcc", "clang"])
def guarded(request: pytest.FixtureRequest) -> Path:
    """By either compiler: jumps into the assembly count on the size that each gives its instructions."""
    build("guarded")
    return ROOT / "build" / "fuzz" / f"guarded_driver_{request.param}.elf"


def answers_of(guarded: Path, cases: list[tuple[bytes, bytes]]) -> list[Answer]:
    command = ["qemu-system-arm", "-M", "mps2-an386", "-kernel", guarded, "-display", "none", "-nodefaults"]
    command += ["-nic", "none", "-semihosting-config", "enable=on,target=native"]
    return host_runtime.answers(command, cases, timeout=120)


def fuzzed(fuzzer: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Fuzzing goes on from the corpus; the folder gets what is found."""
    command = [fuzzer, "-max_len=2048", *options, f"-artifact_prefix={folder}/", folder, CORPUS]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False)


def counts(log: str) -> tuple[int, int]:
    """Artifacts that ran, and that were refused."""
    found = re.search(r"artifacts: (\d+) run, (\d+) refused", log)
    assert found, log[-2000:]
    return int(found[1]), int(found[2])


def corpus() -> list[tuple[bytes, bytes]]:
    """Artifact and what lies behind it, of each file."""
    cases = []
    for path in sorted(CORPUS.iterdir()):
        data = path.read_bytes()
        announced = struct.unpack_from("<I", data, 8)[0] if len(data) >= 20 else 0
        end = announced if 20 <= announced <= len(data) else len(data)
        cases.append((data[:end], data[end:]))
    return cases


def accepted() -> list[Artifact]:
    artifacts = []
    for data, _ in corpus():
        try:
            artifacts.append(read_artifact(data))
        except ArtifactError:
            continue
    return artifacts


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < 200_000


def test_the_corpus_has_every_operator_kernel_encoding_and_form_of_channels() -> None:
    artifacts = accepted()
    operators = [operator for artifact in artifacts for operator in artifact.operators]
    stored = [
        (operator, own)
        for artifact in artifacts
        for operator, own in zip(artifact.operators, artifact.stored, strict=True)
        if isinstance(operator, Convolution) and own is not None
    ]
    assert {type(operator) for operator in operators} == set(get_args(Operator))
    assert {(own.choice.kernel, own.choice.encoding) for _, own in stored} == {
        (kernel, encoding) for kernel in Kernel for encoding in kernel.encodings
    }
    assert {own.channel_bytes == 8 * len(operator.codes) for operator, own in stored} == {False, True}  # NARROW, WIDE
    assert {operator.residual is None for operator, _ in stored} == {False, True}
    assert {operator.flatten_input for operator, _ in stored} == {False, True}
    assert {
        own.choice.kernel
        for artifact in artifacts
        for operator, own in zip(artifact.operators, artifact.stored, strict=True)
        if own is not None
        and artifact.tensors[operator.input].region.overlaps(artifact.tensors[operator.output].region)
    } == {Kernel.TILE, Kernel.BAND, Kernel.DEPTHWISE}


def test_the_corpus_runs_clean(fuzzer: Path, tmp_path: Path) -> None:
    log = fuzzed(fuzzer, tmp_path, "-runs=0")
    assert log.returncode == 0, log.stderr[-2000:]
    run, refused = counts(log.stderr)
    assert run >= len(accepted()) // 2
    assert refused > 0


def with_input(artifact: bytes, behind: bytes) -> tuple[bytes, bytes]:
    """The fuzzer's case: what lies behind the artifact, repeated, is its input; one byte where it is refused."""
    try:
        wanted = read_artifact(artifact).input_bytes
    except ArtifactError:
        wanted = 1
    pattern = behind or b"\0"
    return artifact, (pattern * (wanted // len(pattern) + 1))[:wanted]


def cases() -> list[tuple[bytes, bytes]]:
    return [case for case in (with_input(*file) for file in corpus()) if len(case[1]) <= LARGEST]


def overwriting() -> list[tuple[bytes, bytes]]:
    """Outputs on inputs as near as they may be, also in ways in which the packer lays none."""
    return [(parts.data, inputs) for parts, inputs in (overlapping(*case) for case in FOLLOWING)]


def test_both_sides_agree_on_the_corpus(sanitized_driver: Any) -> None:
    assert sanitized_driver.agreed(cases()) > 0


def test_a_cortex_m4_agrees_and_touches_nothing_else(sanitized_driver: Any, guarded: Path) -> None:
    """What only that core executes has no sanitizer; here any access outside of artifact or arena is a fault."""
    given = [*cases(), *overwriting()]
    for seed in range(200):
        generator = np.random.default_rng(seed)
        graph = random_graph(generator, operators=1 + seed % 5)
        given.append((pack(graph, choose=random_choices(generator)), random_inputs(generator, graph, 1).tobytes()))
    for case, there, here in zip(given, answers_of(guarded, given), sanitized_driver.run(given), strict=True):
        if there.status != ARENA_TOO_SMALL:  # the host has more memory
            assert there == here, case[0].hex()


# Kernel, encoding, whether the channels are WIDE: 3 filters of 9 inputs a row leave something to fill up everywhere.
FILLED = [
    (Kernel.TILE, Encoding.RAW, False),
    (Kernel.TILE, Encoding.RAW, True),
    (Kernel.VECTOR, Encoding.RAW, False),
    (Kernel.VECTOR, Encoding.RAW, True),
    (Kernel.BAND, Encoding.INDEXED, False),
    (Kernel.BAND, Encoding.BITMAP, True),
    (Kernel.GENERAL, Encoding.CODED, False),
]


def filled_up(kernel: Kernel, encoding: Encoding, wide: bool) -> bytes:
    """An artifact of one convolution."""
    codes = (np.arange(3 * 2 * 3 * 3) % 7 + 100).astype(np.uint8).reshape(3, 2, 3, 3)
    multipliers = np.array([12345, 23456, 30001] if wide else [1 << 7, 1 << 8, 1 << 9], np.int16)
    requantisation = Requantisation(Scaling(0, 4), multipliers, np.full(3, 8, np.int32))
    operator = Convolution(0, 1, Window((2, 3), (1, 1), (0, 0)), 1, False, codes, 103, requantisation)
    tensors = Tensor(2, 3, 3, 1.0, 0), Tensor(1, 1, 3, 1.0, 0)
    return pack(
        IntegerGraph(tensors, (operator,), input=0, output=1),
        choose=lambda _i, _c, choices: next(c for c in choices if (c.kernel, c.encoding) == (kernel, encoding)),
    )


def changed(artifact: bytes, at: int, bit: int) -> bytes:
    """With the checksum made right again."""
    body = bytearray(artifact[8:])
    body[at - 8] ^= 1 << bit
    return artifact[:4] + struct.pack("<I", zlib.crc32(body)) + bytes(body)


@pytest.mark.parametrize(("kernel", "encoding", "wide"), FILLED)
def test_no_bit_of_the_data_is_seen_by_one_side_alone(
    sanitized_driver: Any, guarded: Path, kernel: Kernel, encoding: Encoding, wide: bool
) -> None:
    """What fills up counts for nothing; all else is refused, or gives the same in assembly, in C and in Python."""
    artifact = filled_up(kernel, encoding, wide)
    whole = read_artifact(artifact)
    (stored,) = whole.stored
    assert stored is not None
    assert (stored.choice.kernel, stored.choice.encoding, stored.choice.wide) == (kernel, encoding, wide)
    inputs = bytes(range(120, 120 + whole.input_bytes))
    data_bytes = stored.channel_bytes + stored.padding_bytes + stored.table_bytes + stored.stream_bytes
    given = [(artifact, inputs)]
    for at in range(len(artifact) - data_bytes, len(artifact)):
        given += [(changed(artifact, at, bit), inputs) for bit in range(8)]
    assert sanitized_driver.agreed(given) > 1
    answers = sanitized_driver.run(given)
    assert answers_of(guarded, given) == answers
    fill = [
        number for number, (data, _) in enumerate(given[1:], 1) if answers[number].status == 0 and same(whole, data)
    ]
    assert fill
    assert {answers[number].output for number in fill} == {answers[0].output}


def same(whole: Artifact, data: bytes) -> bool:
    """Whether another artifact has the very weights and channels."""
    (ours,), (theirs,) = whole.operators, read_artifact(data).operators
    assert isinstance(ours, Convolution)
    assert isinstance(theirs, Convolution)
    pairs = (
        (ours.codes, theirs.codes),
        (ours.requantisation.multiplier, theirs.requantisation.multiplier),
        (ours.requantisation.bias, theirs.requantisation.bias),
    )
    return all(np.array_equal(first, second) for first, second in pairs)


def test_many_mutants_are_accepted(fuzzer: Path, tmp_path: Path) -> None:
    log = fuzzed(fuzzer, tmp_path, "-runs=20000", "-seed=1")
    assert log.returncode == 0, log.stderr[-2000:]
    run, _ = counts(log.stderr)
    assert run > len(corpus()) + 200


@pytest.mark.parametrize(
    ("file", "check", "without", "finding"),
    [
        ("load.c", "if (!holds(held, operator.input_index))", "if (0)", "what the arena held before"),
        ("load.c", "+ bytes > model->arena_bytes)", "+ 0u * bytes > model->arena_bytes)", "AddressSanitizer"),
    ],
)
def test_a_runtime_without_a_check_is_found_out(
    fuzzer: Path, tmp_path: Path, file: str, check: str, without: str, finding: str
) -> None:
    for folder in ("include", "src"):
        shutil.copytree(RUNTIME / folder, tmp_path / folder)
    shutil.copytree(fuzzer.parent, tmp_path / "fuzz", ignore=shutil.ignore_patterns("found"))
    source = tmp_path / "src" / file
    text = source.read_text(encoding="utf-8")
    assert text.count(check) == 1
    source.write_text(text.replace(check, without), encoding="utf-8")
    build(f"RUNTIME={tmp_path}", f"BUILD={tmp_path}")
    (tmp_path / "found").mkdir()
    log = fuzzed(tmp_path / "fuzz" / "fuzz_artifact", tmp_path / "found", "-max_total_time=60")
    assert log.returncode != 0
    assert finding in log.stderr
