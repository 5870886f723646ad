"""The Zephyr module of exported libraries, built as Zephyr's documentation says that it builds modules.

Zephyr itself is not at hand. What stands in for it does what is documented of the functions that modules call: all
libraries that zephyr_library_named makes are linked whole, and take their includes from zephyr_interface.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from dccdka.export.c_library import export_library

from .conftest import library_arguments

ZEPHYR = """
cmake_minimum_required(VERSION 3.20)
project(application LANGUAGES C)

add_library(zephyr_interface INTERFACE)

function(zephyr_include_directories)
  target_include_directories(zephyr_interface INTERFACE ${ARGV})
endfunction()

macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} STATIC "")
  set_property(GLOBAL APPEND PROPERTY ZEPHYR_LIBS ${name})
  target_link_libraries(${name} PUBLIC zephyr_interface)
endmacro()

function(zephyr_library_sources source)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${source} ${ARGN})
endfunction()
"""
LINKED = """
get_property(libraries GLOBAL PROPERTY ZEPHYR_LIBS)
add_executable(application ${SOURCES})
target_link_libraries(application PRIVATE
  zephyr_interface -Wl,--whole-archive ${libraries} -Wl,--no-whole-archive)
"""
NAMES = ("c007", "no", "kernel")  # which YAML takes for false, and which Zephyr has a target of


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of three models that share most of the runtime, not all of it."""
    folder = tmp_path_factory.mktemp("modules")
    for seed, name in enumerate(NAMES, 1):
        arguments = {**library_arguments(seed, operators=6), "name": name}
        export_library(out_dir=folder / name, **arguments)
    return [folder / name for name in NAMES]


def module_of(folder: Path) -> tuple[str, Path]:
    """As the module's description says: the symbol that switches it on, and where its CMakeLists.txt lies."""
    description = yaml.safe_load((folder / "zephyr" / "module.yml").read_text())
    assert description["name"] == f"model_{folder.name}"
    assert description.keys() == {"name", "build"}
    assert description["build"].keys() == {"cmake", "kconfig"}
    kconfig = (folder / description["build"]["kconfig"]).read_text()
    (symbol,) = re.findall(r"^config (\w+)\n\tbool \"[^\"\n]+\"\n\thelp\n(?:\t  [^\n]+\n)+\Z", kconfig, re.MULTILINE)
    return symbol, folder / description["build"]["cmake"]


def configured(folder: Path, modules: Sequence[Path], switched_on: Sequence[Path], *options: str) -> Path:
    """The application with these modules, its build folder."""
    sources, lines = [], []
    for module in modules:
        symbol, cmake = module_of(module)
        if module in switched_on:
            lines.append(f"set(CONFIG_{symbol} y)")
        lines.append(f'add_subdirectory("{cmake}" "{folder}/modules/{module.name}")')
    for number, module in enumerate(switched_on):
        sources.append(folder / f"test_{number}.c")
        sources[-1].write_text(f'#define main test_{number}\n#include "{module}/test/self_test.c"\n')
    tests = range(len(switched_on))
    sources.append(folder / "main.c")
    sources[-1].write_text(
        "".join(f"int test_{number}(void);\n" for number in tests)
        + f"int main(void) {{ return {' + '.join(f'test_{number}()' for number in tests) or '0'}; }}\n"
    )
    listed = f"set(SOURCES {' '.join(map(str, sources))})\n"
    (folder / "CMakeLists.txt").write_text(ZEPHYR + "\n".join(lines) + "\n" + listed + LINKED)
    run("cmake", "-S", folder, "-B", folder / "build", *options)
    return folder / "build"


def run(*command: str | Path) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


@pytest.mark.parametrize("models", [1, 3])
def test_models_go_into_one_application_and_compute_what_they_must(tmp_path, modules, models):
    build = configured(tmp_path, modules[:models], modules[:models])
    run("cmake", "--build", build)
    assert run(build / "application") == "ok\n" * models


def test_a_model_that_is_not_switched_on_is_not_built(tmp_path, modules):
    build = configured(tmp_path, modules[:2], modules[:1])
    run("cmake", "--build", build)
    assert run(build / "application") == "ok\n"
    assert not list(tmp_path.rglob("libmodel_no.a"))


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m0plus"])
def test_the_sources_that_it_lists_compile_for_microcontrollers(tmp_path, modules, core):
    flags = f"-mthumb -mcpu={core} -Os -std=c17 -ffreestanding -fno-common -Wall -Wextra -Wdouble-promotion -Werror"
    build = configured(
        tmp_path,
        modules,
        modules,
        "-DCMAKE_SYSTEM_NAME=Generic",
        "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY",
        "-DCMAKE_C_COMPILER=arm-none-eabi-gcc",
        f"-DCMAKE_C_FLAGS={flags}",
    )
    libraries = ["dcc_runtime", *(f"model_{name}" for name in NAMES)]
    run("cmake", "--build", build, "--target", *libraries)
    built = [library.name for library in tmp_path.rglob("*.a")]
    assert sorted(built) == sorted(f"lib{name}.a" for name in libraries)
