"""The table names what a model needs, and no runtime with less of it runs the model."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace

import pytest

from dccdka.export.errors import ExportError
from dccdka.export.operator_table import OperatorTable
from dccdka.export.runtime_sources import runtime_sources
from dccdka.packing.choice import Encoding, Kernel

from .conftest import RUNTIME

REFUSED = """
#include <stdint.h>
#include "dcc_runtime.h"
extern const dcc_operators table;
static const union {{ uint8_t bytes[{size}]; uint32_t alignment; }} artifact = {{{{ {bytes} }}}};
int main(void) {{
    dcc_model model;
    return (int)dcc_model_load(&model, &table, artifact.bytes, sizeof artifact.bytes);
}}
"""


def loaded(folder, artifact, table):
    """dcc_status of loading the artifact with a table."""
    folder.mkdir()
    text = REFUSED.format(size=len(artifact.data), bytes=", ".join(map(str, artifact.data)))
    (folder / "main.c").write_text(text)
    (folder / "table.c").write_text(f'#include "operators.h"\n{table.c_source("table")}')
    sources = [path for path in runtime_sources(RUNTIME, table.symbols) if path.suffix == ".c"]
    includes = [f"-I{RUNTIME / 'include'}", f"-I{RUNTIME / 'src'}"]
    subprocess.run(["gcc", "-std=c99", *includes, "-o", "load", "main.c", "table.c", *sources], cwd=folder, check=True)
    return subprocess.run([folder / "load"], check=False).returncode


def test_it_names_what_the_artifact_uses(artifacts):
    for artifact in artifacts:
        table = OperatorTable.of(artifact)
        assert len(table.kinds) == len({type(operator) for operator in artifact.operators})
        choices = [choice for choice in artifact.choices if choice is not None]
        assert set(table.kernels) == {choice.kernel.name.lower() for choice in choices}
        assert set(table.encodings) == {choice.encoding.name.lower() for choice in choices} - {"raw"}


def test_all_of_the_runtime_can_be_named(artifacts):
    header = (RUNTIME / "src" / "operators.h").read_text() + (RUNTIME / "src" / "weights.h").read_text()
    entries = set(re.findall(r"^extern const dcc_\w+ (dcc_(?:kind|kernel|encoding)_\w+);", header, re.MULTILINE))
    assert len(entries) == 11 + len(Kernel) + len(Encoding) - 1
    assert {symbol for artifact in artifacts for symbol in OperatorTable.of(artifact).symbols} == entries


def test_a_table_without_something_refuses_the_model(tmp_path, artifacts):
    artifact = max(artifacts, key=lambda artifact: len(OperatorTable.of(artifact).encodings))
    table = OperatorTable.of(artifact)
    assert loaded(tmp_path / "all", artifact, table) == 0
    operator_error = 6
    for field in ("kinds", "kernels", "encodings"):
        less = replace(table, **{field: getattr(table, field)[1:]})
        assert loaded(tmp_path / field, artifact, less) == operator_error


def test_an_unknown_symbol_is_named():
    with pytest.raises(ExportError, match="does not define dcc_kernel_none"):
        runtime_sources(RUNTIME, ["dcc_kernel_none"])


def test_a_model_of_tables_alone_needs_no_convolution():
    names = {path.name for path in runtime_sources(RUNTIME, ["dcc_kind_lookup"])}
    assert {"dcc_runtime.h", "load.c", "run.c", "lookup.c"} <= names
    assert not {name for name in names if name.startswith(("conv", "kernel_", "coded", "operators.c"))}
