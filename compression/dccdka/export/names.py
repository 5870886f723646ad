"""Which names a library may have: its files, symbols and build targets must not take the place of others."""

from __future__ import annotations

import re

from dccdka.export.errors import ExportError

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_LONGEST = 63  # well below what file systems and compilers take, with what is added
# Of C17 and C23: with the library's folder on the include path, its header would be found instead.
_HEADER = re.compile(
    "assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal|stdalign|stdarg|stdatomic|"
    "stdbit|stdbool|stdckdint|stddef|stdint|stdio|stdlib|stdnoreturn|string|tgmath|threads|time|uchar|wchar|wctype"
)
# What CMake makes targets of (its policy CMP0037), and the target of the library's test.
_TARGET = re.compile(
    "all|all_build|clean|edit_cache|help|install|package|package_source|preinstall|rebuild_cache|run_tests|self_test|"
    "test|zero_check"
)


def check_name(name: str) -> None:
    """Raises ExportError, which says what is wrong with the name."""
    lower = name.lower()  # some file systems tell no difference
    if not _IDENTIFIER.fullmatch(name) or len(name) > _LONGEST:
        reason = f"must be a C identifier of at most {_LONGEST} characters that begins with a letter"
    elif lower == "dcc" or lower.startswith("dcc_"):
        reason = "is a name of the runtime's: must not be dcc or begin with dcc_"
    elif _HEADER.fullmatch(lower):
        reason = f"its header would hide <{lower}.h> of the C library"
    elif _TARGET.fullmatch(lower):
        reason = "is a target that CMake or the library has already"
    else:
        return
    raise ExportError(f"name {name!r}: {reason}; choose one like my_model")
