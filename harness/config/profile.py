"""What a board is: memory, clock, supply and how its latency is estimated; every figure with its source."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from harness.config.yaml_file import StrictModel, read_model
from harness.errors import UsageError
from harness.resources import profiles_dir


class Figure(StrictModel):
    """A figure with its source, or null with the reason why there is none."""

    value: float | None
    source: str | None = None
    reason: str | None = None
    relative_error: float | None = None

    @model_validator(mode="after")
    def _sourced(self) -> Self:
        if self.value is not None and not self.source:
            raise ValueError("a figure needs a source: datasheet, table and page")
        if self.value is not None and self.value <= 0:
            raise ValueError("must be greater than 0")
        if self.value is None and not self.reason:
            raise ValueError("a figure without a value needs a reason")
        return self


class Profile(StrictModel):
    """One kind of board. Memory limits decide what is refused; the rest turns counts into estimates."""

    name: str
    description: str
    core: str
    architecture: str
    clock_hz: Figure
    flash_bytes: Figure
    ram_bytes: Figure
    supply_v: Figure
    active_current_a: Figure
    idle_current_a: Figure
    cycles_per_instruction: Figure

    def absent_power(self) -> str | None:
        """Why energy cannot be estimated, or None where it can."""
        for figure in (self.supply_v, self.active_current_a):
            if figure.value is None:
                return figure.reason
        return None

    def energy_j(self, latency_s: float) -> float:
        """Volts x amps at this clock x seconds. Only where absent_power() is None."""
        assert self.supply_v.value is not None and self.active_current_a.value is not None
        return self.supply_v.value * self.active_current_a.value * latency_s


def load_profile(name: str) -> Profile:
    """Raises UsageError listing the profiles there are when there is none of this name."""
    paths = {path.stem: path for path in profiles_dir().glob("*.yaml")}
    path = paths.get(name)
    if path is None:
        raise UsageError(f"no device profile named {name!r}; known: {', '.join(sorted(paths))}")
    profile = read_model(path, Profile)
    if profile.name != path.stem:
        raise UsageError(f"{path}: name is {profile.name!r} but the file is named {path.stem!r}")
    return profile
