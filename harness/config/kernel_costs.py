"""A profile's table of kernel costs: its own, stored beside it by `harness tune`, or that of its core's family."""

from __future__ import annotations

from pathlib import Path

from dccdka.packing.costs import CostsError, KernelCosts, packaged_costs
from harness.config.inventory import entry_of, find_inventory, load_inventory
from harness.config.profile import Profile, load_profile
from harness.config.study import StudyConfig
from harness.errors import UsageError
from harness.resources import profiles_dir


def stored_costs(profile: Profile, *, emulated: bool) -> Path:
    """Where a profile's own table is. A real board's and an emulated one's do not replace each other."""
    return profiles_dir() / f"{profile.name}{'.emulated' if emulated else ''}.costs.json"


def costs_of(profile: Profile) -> KernelCosts:
    """What was measured on a real board, else on an emulated one, else what comes with the packer for the core.

    Raises UsageError naming a file that is damaged.
    """
    for emulated in (False, True):
        path = stored_costs(profile, emulated=emulated)
        if path.exists():
            try:
                return KernelCosts.load(path)
            except CostsError as error:
                raise UsageError(str(error)) from None
    return packaged_costs(profile.core)


def costs_of_target(config: StudyConfig) -> KernelCosts:
    """Of the device whose figures the study searches. Raises UsageError."""
    inventory = find_inventory(config.inventory)
    return costs_of(load_profile(entry_of(load_inventory(inventory), inventory, config.target).profile))
