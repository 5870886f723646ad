"""A study file that cannot work is refused with file, line and key, before anything else happens."""

from pathlib import Path

import pytest

from harness.config import load_study
from harness.errors import UsageError
from harness.study import study_devices

GOOD = """\
name: small
data: {source: fashion-mnist}
space:
  temperature: {min: 1, max: 8}
  final_sparsity: {min: 0.2, max: 0.8}
  clusters: {min: 4, max: 16}
  bits: {min: 3, max: 5}
candidates: 3
devices: [f405-emulated]
target: f405-emulated
"""


def study_with(tmp_path: Path, old: str, new: str) -> Path:
    assert old in GOOD
    path = tmp_path / "study.yaml"
    path.write_text(GOOD.replace(old, new))
    return path


def complaint(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_study(path)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(str(path))
    return message


def test_a_good_study_is_read(tmp_path: Path) -> None:
    assert load_study(study_with(tmp_path, "small", "small")).space.bits.max == 5


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("bits: {min: 3, max: 5}", "bits: {min: 0, max: 5}", 3, "bits.min is 0; possible are 2 to 8"),
        ("max: 0.8}", "max: 1.2}", 3, "final_sparsity.max is 1.2"),
        ("clusters: {min: 4", "clusters: {min: 1", 3, "clusters.min is 1"),
        ("clusters: {min: 4, max: 16}", "clusters: {min: 16, max: 16}", 3, "raise bits.min"),
        ("candidates: 3", "candidates: 0", 8, "greater than 0"),
        ("name: small", "name: small\ncandidats: 3", 2, "candidats: unknown key"),
        ("target: f405-emulated", "target: other", 1, "'other' is not among devices"),
        ("temperature: {min: 1, max: 8}", "temperature: {min: 9, max: 8}", 4, "min 9 is greater than max 8"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    path = study_with(tmp_path, old, new)
    message = complaint(path)
    assert words in message
    if "unknown key" in words or line != 1:
        assert message.startswith(f"{path}:{line}:"), message


def test_broken_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    path = study_with(tmp_path, "candidates: 3", "candidates: [3")
    assert "not valid YAML" in complaint(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert complaint(tmp_path / "none.yaml").endswith("no such file")


def test_an_unknown_device_is_named_with_the_known_ones(tmp_path: Path) -> None:
    path = study_with(tmp_path, "devices: [f405-emulated]\ntarget: f405-emulated", "devices: [nobody]\ntarget: nobody")
    with pytest.raises(UsageError, match=rf"{path}:9: devices: 'nobody' is not in .*f405-emulated"):
        study_devices(load_study(path), path)
