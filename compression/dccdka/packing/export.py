"""Writes a model as a C library to build into a product: the artifact as an array, the runtime, an example."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template

from dccdka.packing.artifact import Artifact
from dccdka.packing.reading import read_artifact

_TEMPLATES = Path(__file__).parent / "templates"


class ExportError(Exception):
    """The library cannot be written: the message says why and what to do."""


def compile_command(name: str) -> str:
    """Builds the example of a library of this name, from inside its folder."""
    return f"gcc -std=c99 -O2 -Wall -Wextra -Wconversion -Werror -Iruntime -o example main.c {name}.c runtime/*.c"


def export_library(
    artifact_bytes: bytes,
    out_dir: Path,
    *,
    name: str,
    runtime_dir: Path,
    sample_input: bytes,
    expected_output: bytes,
) -> list[Path]:
    """Write the library into out_dir, which must be new or empty, and return the files written.

    name: a C identifier, used for files and symbols. runtime_dir: the folder agents/runtime. sample_input: one input
    as the device takes it (int8 NHWC) and expected_output: the reference interpreter's answer; the example compares.
    Raises ExportError, and ArtifactError for a damaged artifact.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ExportError(f"name {name!r}: must be a C identifier, like my_model")
    artifact = read_artifact(artifact_bytes)
    for what, given, needed in (
        ("sample_input", len(sample_input), artifact.input_bytes),
        ("expected_output", len(expected_output), artifact.output_bytes),
    ):
        if given != needed:
            raise ExportError(f"{what}: {given} bytes, the model has {needed}")
    runtime = [runtime_dir / "include" / "dcc_runtime.h", *sorted((runtime_dir / "src").glob("*.[ch]"))]
    if len(runtime) == 1 or not runtime[0].is_file():
        raise ExportError(f"{runtime_dir}: holds no runtime sources (include/dcc_runtime.h and src/)")
    _make_empty_folder(out_dir / "runtime", out_dir)
    values = _values(artifact, name, sample_input, expected_output)
    written = []
    for template, target in (
        ("model.h", f"{name}.h"),
        ("model.c", f"{name}.c"),
        ("main.c", "main.c"),
        ("README.txt", "README.txt"),
    ):
        text = Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)
        written.append(out_dir / target)
        written[-1].write_text(text, encoding="utf-8")
    for source in runtime:
        written.append(out_dir / "runtime" / source.name)
        shutil.copyfile(source, written[-1])
    return written


def _make_empty_folder(inner: Path, out_dir: Path) -> None:
    try:
        if out_dir.exists() and any(out_dir.iterdir()):
            raise ExportError(f"{out_dir}: is not empty; name a new folder")
        inner.mkdir(parents=True)
    except OSError as error:
        raise ExportError(f"{out_dir}: cannot be made a folder ({error.strerror})") from error


def _values(artifact: Artifact, name: str, sample_input: bytes, expected_output: bytes) -> Mapping[str, str]:
    """What the templates name."""
    return {
        "name": name,
        "NAME": name.upper(),
        "command": compile_command(name),
        "sha256": artifact.sha256,
        "artifact": _numbers(memoryview(artifact.data)),
        "sample_input": _numbers(memoryview(sample_input).cast("b")),
        "expected_output": _numbers(memoryview(expected_output).cast("b")),
        "artifact_bytes": str(len(artifact.data)),
        "arena_bytes": str(artifact.arena_bytes),
        "input_bytes": str(artifact.input_bytes),
        "output_bytes": str(artifact.output_bytes),
        "input_shape": " x ".join(map(str, artifact.input_shape)),
        "output_shape": " x ".join(map(str, artifact.output_shape)),
        "input_scale": f"{artifact.input_scale:.9g}",
        "output_scale": f"{artifact.output_scale:.9g}",
        "input_zero_point": str(artifact.input_zero_point),
        "output_zero_point": str(artifact.output_zero_point),
    }


def _numbers(values: memoryview) -> str:
    """Lines of an array initialiser."""
    numbers = values.tolist()
    lines = (numbers[i : i + 20] for i in range(0, len(numbers), 20))
    return "".join("    " + ", ".join(map(str, line)) + ",\n" for line in lines)
