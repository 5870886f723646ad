"""What a build leaves out of its table of operators is refused when a model is loaded, and only that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import host_runtime
from benchmarks.host_runtime import REPOSITORY
from benchmarks.kernels.commands import output_of
from dccdka.lowering.graph import (
    POINT,
    Convolution,
    IntegerGraph,
    Lookup,
    Operator,
    ReLU,
    Requantisation,
    Scaling,
    Tensor,
)
from dccdka.packing import ArtifactStatus, pack
from dccdka.packing.choice import Encoding, Kernel

RUNTIME = REPOSITORY / "agents" / "runtime"
TABLE = """
#include "operators.h"

const dcc_operators some_operators = {
    .kinds = {[DCC_RELU] = &dcc_kind_relu, [DCC_CONVOLUTION] = &dcc_kind_convolution},
    .kernels = {[DCC_GENERAL] = &dcc_kernel_general},
    .encodings = {[DCC_INDEXED] = &dcc_encoding_indexed},
};
"""
IMAGE = Tensor(3, 3, 2, 1.0, 0)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host's driver with that table instead of everything."""
    folder = tmp_path_factory.mktemp("some_operators")
    (folder / "table.c").write_text(TABLE)
    sources = [RUNTIME / "host" / "driver.c", folder / "table.c", *sorted((RUNTIME / "src").glob("*.c"))]
    includes = [f"-I{RUNTIME / 'include'}", f"-I{RUNTIME / 'src'}"]
    unlinked = ["-Ddcc_all_operators=some_operators"]  # operators.c defines the name, so it stays out
    sources = [source for source in sources if source.name != "operators.c"]
    program = folder / "driver"
    output_of(["cc", "-std=c99", "-O1", *unlinked, *includes, "-o", program, *sources])
    return program


def artifact(operator: Operator, kernel: Kernel = Kernel.GENERAL, encoding: Encoding = Encoding.INDEXED) -> bytes:
    graph = IntegerGraph((IMAGE, IMAGE), (operator,), input=0, output=1)
    return pack(
        graph, choose=lambda _i, _c, choices: next(c for c in choices if (c.kernel, c.encoding) == (kernel, encoding))
    )


CODES = np.array([1, 0, 3, 0], np.uint8).reshape(2, 1, 1, 2)
REQUANTISATION = Requantisation(Scaling(4, 4), np.full(2, 1 << 13, np.int16), np.full(2, 8, np.int32))
CONVOLUTION = Convolution(0, 1, POINT, 1, False, CODES, 0, REQUANTISATION)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (artifact(ReLU(0, 1, 0)), 0),
        (artifact(Lookup(0, 1, np.zeros(256, np.int8))), ArtifactStatus.OPERATOR),
        (artifact(CONVOLUTION), 0),
        (artifact(CONVOLUTION, Kernel.TILE, Encoding.INDEXED), ArtifactStatus.OPERATOR),
        (artifact(CONVOLUTION, encoding=Encoding.BITMAP), ArtifactStatus.OPERATOR),
    ],
    ids=["linked kind", "other kind", "linked kernel and encoding", "other kernel", "other encoding"],
)
def test_only_what_the_table_names_is_run(program, data, status):
    (answer,) = host_runtime.answers(program, [(data, bytes(IMAGE.elements))], timeout=60)
    assert answer.status == status
    assert (len(answer.output) > 0) == (status == 0)
