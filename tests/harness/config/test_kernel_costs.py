"""Which table a profile's artifacts are packed by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dccdka.packing.costs import packaged_costs
from harness.config import load_profile, load_study
from harness.config.kernel_costs import costs_of, costs_of_target, stored_costs
from harness.errors import UsageError


def test_a_profile_without_a_table_has_its_cores(profiles: Path) -> None:
    assert costs_of(load_profile("stm32f405")) == packaged_costs("cortex-m4")


def test_a_real_boards_table_goes_before_an_emulated_ones(profiles: Path) -> None:
    profile = load_profile("stm32f405")
    emulated = replace(packaged_costs(), source="emulated")
    emulated.store(stored_costs(profile, emulated=True))
    assert costs_of(profile) == emulated
    real = replace(packaged_costs(), source="real")
    real.store(stored_costs(profile, emulated=False))
    assert costs_of(profile) == real
    assert costs_of(load_profile("raspberry-pi-3")).source not in ("real", "emulated")


def test_a_damaged_table_is_told_and_not_passed_over(profiles: Path) -> None:
    profile = load_profile("stm32f405")
    stored_costs(profile, emulated=False).write_text("{")
    with pytest.raises(UsageError, match=r"stm32f405\.costs\.json: is not JSON"):
        costs_of(profile)


def test_a_study_is_packed_by_its_targets_table(profiles: Path) -> None:
    replace(packaged_costs(), source="of the target").store(stored_costs(load_profile("stm32f405"), emulated=True))
    study = load_study(Path(__file__).parents[3] / "harness" / "studies" / "quickstart.yaml")
    assert costs_of_target(study).source == "of the target"
