"""Writes a model as a folder of plain C to build into a product: for CMake, as a Zephyr module, or with one command."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template

from dccdka.export.c_array import c_numbers
from dccdka.export.errors import ExportError
from dccdka.export.names import check_name
from dccdka.export.operator_table import OperatorTable
from dccdka.export.runtime_sources import PUBLIC_HEADER, runtime_sources
from dccdka.packing.artifact import Artifact

_TEMPLATES = Path(__file__).parent / "templates"


def compile_command(name: str) -> str:
    """Builds the self-test of a library of this name, from inside its folder."""
    sources = f"test/self_test.c src/{name}.c src/runtime/*.c"
    return f"gcc -std=c99 -O2 -Wall -Wextra -Wconversion -Werror -Iinclude -o self_test {sources}"


def export_library(
    artifact: Artifact,
    out_dir: Path,
    *,
    name: str,
    runtime_dir: Path,
    sample_input: bytes,
    expected_output: bytes,
) -> list[Path]:
    """Write the library into out_dir, which must be new or empty, and return the files written.

    Of the runtime it holds only the files that this model needs. name: of files, symbols and targets (names.py).
    runtime_dir: the folder agents/runtime. sample_input: one input as the device takes it (int8 NHWC) and
    expected_output: the reference interpreter's answer; the self-test compares. Raises ExportError.
    """
    check_name(name)
    for what, given, needed in (
        ("sample_input", len(sample_input), artifact.input_bytes),
        ("expected_output", len(expected_output), artifact.output_bytes),
    ):
        if given != needed:
            raise ExportError(f"{what}: {given} bytes, the model has {needed}")
    table = OperatorTable.of(artifact)
    runtime = runtime_sources(runtime_dir, table.symbols)
    values = _values(artifact, table, name, runtime, sample_input, expected_output)
    make_empty_folder(out_dir)
    try:
        return _write(out_dir, name, values, runtime)
    except OSError as error:
        raise ExportError(f"{out_dir}: cannot be written ({error.strerror})") from error


def _write(out_dir: Path, name: str, values: Mapping[str, str], runtime: list[Path]) -> list[Path]:
    written = []
    for template in sorted(path for path in _TEMPLATES.rglob("*") if path.is_file()):
        relative = template.relative_to(_TEMPLATES)
        written.append(out_dir / relative.with_name(relative.name.replace("model.", f"{name}.", 1)))
        written[-1].parent.mkdir(parents=True, exist_ok=True)
        written[-1].write_text(Template(template.read_text(encoding="utf-8")).substitute(values), encoding="utf-8")
    for source in runtime:
        written.append(out_dir / ("include" if source.name == PUBLIC_HEADER else "src/runtime") / source.name)
        written[-1].parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, written[-1])
    return written


def make_empty_folder(out_dir: Path) -> None:
    """Leaves one that is empty already. Raises ExportError, which names the folder."""
    try:
        if out_dir.exists() and any(out_dir.iterdir()):
            raise ExportError(f"{out_dir}: is not empty; name a new folder")
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"{out_dir}: cannot be made a folder ({error.strerror})") from error


def _values(
    artifact: Artifact,
    table: OperatorTable,
    name: str,
    runtime: list[Path],
    sample_input: bytes,
    expected_output: bytes,
) -> Mapping[str, str]:
    """What the templates name."""
    runtime_files = [path.name for path in runtime if path.suffix == ".c"]
    sources = [f"src/{name}.c", *(f"src/runtime/{file}" for file in runtime_files)]
    return {
        "name": name,
        "NAME": name.upper(),
        "command": compile_command(name),
        "sha256": artifact.sha256,
        "sources": "\n".join(f"  {source}" for source in sources),
        "runtime_files": "\n".join(f"    {file}" for file in runtime_files),
        "operators": table.c_source(f"{name}_operators"),
        "linked": _named(table),
        "artifact": c_numbers(memoryview(artifact.data)),
        "sample_input": c_numbers(memoryview(sample_input).cast("b")),
        "expected_output": c_numbers(memoryview(expected_output).cast("b")),
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


def _named(table: OperatorTable) -> str:
    """Its entries, for people."""
    parts = {"operators": table.kinds, "convolution kernels": table.kernels, "weight decoders": table.encodings}
    said = (f"{what} {', '.join(names)}" for what, names in parts.items() if names)
    return "; ".join(said).replace("_", " ")
