"""Where the files beside the Python code lie, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent


def _root() -> Path:
    return _CHECKOUT if (_CHECKOUT / "device_profiles").is_dir() else _PACKAGE / "_data"


def profiles_dir() -> Path:
    return _root() / "device_profiles"


def agents_dir() -> Path:
    """C sources of runtime, firmware and runner."""
    return _root() / "agents"


def build_dir() -> Path:
    """Where `make firmware` puts firmware and runners."""
    return _root() / "build"


def default_inventory() -> Path:
    return _PACKAGE / "studies" / "devices.yaml"
