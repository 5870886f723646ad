"""Profiles: every figure that comes with the project names its source, and unknown ones their reason."""

from pathlib import Path

import pytest

from harness.config import load_profile
from harness.config.profile import Profile
from harness.config.yaml_file import read_model
from harness.errors import UsageError
from harness.resources import profiles_dir


@pytest.mark.parametrize("name", [path.stem for path in profiles_dir().glob("*.yaml")])
def test_every_profile_of_the_project_is_valid(name: str) -> None:
    assert load_profile(name).name == name


def test_a_figure_without_a_source_is_refused(tmp_path: Path) -> None:
    text = (profiles_dir() / "stm32f405.yaml").read_text()
    path = tmp_path / "stm32f405.yaml"
    path.write_text(text.replace("value: 131072\n  source:", "value: 131072\n  reason:"))
    with pytest.raises(UsageError, match="ram_bytes: a figure needs a source"):
        read_model(path, Profile)


@pytest.mark.parametrize("name", ["toaster", "a" * 300, "../device_profiles/stm32f405"])
def test_an_unknown_profile_is_named_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match=rf"'{name}'; known: .*stm32f405"):
        load_profile(name)


def test_energy_is_volts_times_amps_times_seconds() -> None:
    profile = load_profile("stm32f405")
    assert profile.energy_j(0.5) == pytest.approx(profile.supply_v.value * profile.active_current_a.value * 0.5)
