"""The files a user writes (study, inventory, profiles), checked whole before any work begins."""

from harness.config.inventory import (
    Connection,
    DeviceEntry,
    Inventory,
    LoopbackSshConnection,
    QemuConnection,
    SerialConnection,
    SshConnection,
    check_entry,
    load_inventory,
)
from harness.config.profile import Figure, Profile, load_profile
from harness.config.recipe import RecipeSettings
from harness.config.study import Limits, Space, StudyConfig, load_study

__all__ = [
    "Connection",
    "DeviceEntry",
    "Figure",
    "Inventory",
    "Limits",
    "LoopbackSshConnection",
    "Profile",
    "QemuConnection",
    "RecipeSettings",
    "SerialConnection",
    "Space",
    "SshConnection",
    "StudyConfig",
    "check_entry",
    "load_inventory",
    "load_profile",
    "load_study",
]
