"""An exported library builds without warnings wherever C is built, holds only what its model needs, tests itself."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import pytest

from dccdka.export.c_library import compile_command, export_library
from dccdka.export.errors import ExportError
from dccdka.packing.choice import Encoding, Kernel

from .conftest import library_arguments


def run(*command: str | Path, cwd: Path) -> str:
    """Its output; the test fails, showing it, where the command does."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


def build(folder: Path, name: str, compiler: str = "gcc") -> None:
    command = compile_command(name)
    assert command in (folder / "README.md").read_text()
    warnings = run("sh", "-c", command.replace("gcc", compiler, 1), cwd=folder)
    assert warnings == ""


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_library_builds_without_warnings_and_gives_the_expected_output(tmp_path, arguments, compiler):
    written = export_library(out_dir=tmp_path / "library", **arguments)
    assert sorted(written) == sorted(path for path in (tmp_path / "library").rglob("*") if path.is_file())
    build(tmp_path / "library", arguments["name"], compiler)
    assert run("./self_test", cwd=tmp_path / "library") == "ok\n"


@pytest.mark.parametrize("kernel", Kernel)
def test_only_the_kernel_and_the_decoder_that_the_model_needs_are_exported(tmp_path, kernel):
    encoding = Encoding.RAW if kernel is Kernel.VECTOR else Encoding.CODED

    def choose(index, convolution, choices):
        return next(choice for choice in choices if (choice.kernel, choice.encoding) == (kernel, encoding))

    for seed in range(1000):
        try:
            arguments = library_arguments(seed, 1, choose)
        except StopIteration:  # a convolution that the kernel does not take
            continue
        if any(arguments["artifact"].choices):
            break
    export_library(out_dir=tmp_path, **arguments)
    sources = {path.stem for path in (tmp_path / "src" / "runtime").glob("*.c")}
    assert {source for source in sources if source.startswith("kernel_")} == {f"kernel_{kernel.name.lower()}"}
    assert ("coded" in sources) == (encoding is Encoding.CODED)
    assert not {"operators", "softmax", "lookup", "multiply"} & sources
    build(tmp_path, arguments["name"])
    assert run("./self_test", cwd=tmp_path) == "ok\n"


def test_the_self_test_fails_if_the_model_computes_something_else(tmp_path, arguments):
    expected = bytearray(arguments["expected_output"])
    expected[0] ^= 1
    export_library(out_dir=tmp_path, **{**arguments, "expected_output": bytes(expected)})
    build(tmp_path, arguments["name"])
    done = subprocess.run(tmp_path / "self_test", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "differs" in done.stdout


def test_cmake_builds_it_and_ctest_runs_the_self_test(tmp_path, arguments):
    export_library(out_dir=tmp_path / "library", **arguments)
    built = run("cmake", "-S", "library", "-B", "build", "-DCMAKE_C_COMPILER=clang", cwd=tmp_path)
    built += run("cmake", "--build", "build", cwd=tmp_path)
    assert "warning" not in built.lower()
    assert "100% tests passed, 0 tests failed out of 1" in run("ctest", "--test-dir", "build", cwd=tmp_path)


def test_two_libraries_go_into_one_program(tmp_path):
    names, calls = [], []
    for seed in (1, 2):
        arguments = library_arguments(seed, operators=6)
        name = arguments["name"]
        export_library(out_dir=tmp_path / name, **arguments)
        names.append(name)
        calls.append(f"if ({name}_load(&model) != DCC_OK) return 1;")
    includes = "".join(f'#include "{name}.h"\n' for name in names)
    (tmp_path / "main.c").write_text(f"{includes}int main(void) {{ dcc_model model; {' '.join(calls)} return 0; }}\n")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(product LANGUAGES C)\n"
        + "".join(f"add_subdirectory({name})\n" for name in names)
        + f"add_executable(product main.c)\ntarget_link_libraries(product {' '.join(names)})\n"
    )
    run("cmake", "-S", ".", "-B", "build", cwd=tmp_path)
    run("cmake", "--build", "build", "--target", "product", cwd=tmp_path)
    run("build/product", cwd=tmp_path)


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m0plus"])
def test_it_compiles_without_warnings_for_microcontrollers(tmp_path, arguments, core):
    export_library(out_dir=tmp_path, **arguments)
    command = compile_command(arguments["name"]).replace("gcc", f"arm-none-eabi-gcc -mthumb -mcpu={core} -c", 1)
    assert run("sh", "-c", command.replace("-o self_test", ""), cwd=tmp_path) == ""


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, arguments):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match="is not empty"):
        export_library(out_dir=tmp_path, **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "2nd model"}, "C identifier"),
        ({"name": "m" * 64}, "at most 63 characters"),
        ({"name": "dcc_runtime"}, "must not be dcc or begin with dcc_"),
        ({"name": "dcc"}, "must not be dcc or begin with dcc_"),
        ({"name": "String"}, "hide <string.h>"),
        ({"name": "test"}, "CMake"),
        ({"sample_input": b"12"}, "sample_input: 2 bytes, the model has"),
        ({"runtime_dir": Path("/nonexistent")}, "no runtime sources"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path, arguments, change, message):
    with pytest.raises(ExportError, match=message):
        export_library(out_dir=tmp_path / "library", **{**arguments, **change})
    assert not (tmp_path / "library").exists()


def test_a_full_disk_is_told(tmp_path, arguments):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(ExportError, match="library: cannot be written"):
            export_library(out_dir=tmp_path / "library", **arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
