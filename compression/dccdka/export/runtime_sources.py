"""The files of the runtime that a build needs, found from what they define and name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dccdka.export.errors import ExportError

PUBLIC_HEADER = "dcc_runtime.h"
_ENTRY_POINTS = ("dcc_model_load", "dcc_model_run", "dcc_model_input", "dcc_model_output")

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
# At the beginning of a line: up to the name that is declared, then what tells a definition from a declaration.
_FUNCTION = re.compile(r"^(?!static\b)[a-z_][\w \t*]*?\b(dcc_\w+)\s*\([^;{]*\)\s*\{", re.MULTILINE)
_OBJECT = re.compile(r"^(?!static\b|extern\b)[a-z_][\w \t*]*?\b(dcc_\w+)(?:\[\w*\])*\s*=", re.MULTILINE)
_DECLARATION = re.compile(r"^(?!static\b|typedef\b|struct\b|enum\b|union\b)[a-z_][^;{}=]*;", re.MULTILINE)
_NAME = re.compile(r"\bdcc_\w+")


@dataclass(frozen=True)
class _Source:
    """includes: file names; names: all of the runtime's that its code mentions; defines: those with a home here."""

    path: Path
    includes: frozenset[str]
    names: frozenset[str]
    defines: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> _Source:
        text = _COMMENT.sub(" ", path.read_text(encoding="utf-8"))
        return cls(
            path,
            includes=frozenset(_INCLUDE.findall(text)),
            # A declaration needs nothing: only code does.
            names=frozenset(_NAME.findall(_DECLARATION.sub("", text))),
            defines=frozenset(_FUNCTION.findall(text)) | frozenset(_OBJECT.findall(text)),
        )


def runtime_sources(runtime_dir: Path, symbols: Iterable[str]) -> list[Path]:
    """The files of the runtime's folder, sorted, that a program needs whose table points to these symbols.

    The public header is among them. Raises ExportError where the folder is no runtime or does not define a symbol.
    """
    paths = [runtime_dir / "include" / PUBLIC_HEADER, *sorted((runtime_dir / "src").glob("*.[ch]"))]
    if len(paths) == 1 or not paths[0].is_file():
        raise ExportError(f"{runtime_dir}: holds no runtime sources (include/{PUBLIC_HEADER} and src/)")
    by_name = {path.name: _Source.read(path) for path in paths}
    homes = {name: source for source in by_name.values() if source.path.suffix == ".c" for name in source.defines}
    wanted = [*_ENTRY_POINTS, *symbols]
    missing = [name for name in wanted if name not in homes]
    if missing:
        raise ExportError(f"{runtime_dir}: the runtime does not define {', '.join(missing)}")
    needed = {PUBLIC_HEADER: by_name[PUBLIC_HEADER], "operators.h": by_name["operators.h"]}
    waiting = [*needed.values(), *(homes[name] for name in wanted)]
    while waiting:
        source = waiting.pop()
        needed[source.path.name] = source
        reached = [by_name[name] for name in source.includes] + [homes[name] for name in source.names if name in homes]
        waiting += [other for other in reached if other.path.name not in needed]
    return sorted(source.path for source in needed.values())
