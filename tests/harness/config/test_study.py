"""A study file that cannot work is refused with file, line and key, before anything else happens."""

from pathlib import Path

import pytest

from dccdka.recipe import LayerSettings
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
        ("bits: {min: 3, max: 5}", "bits: {min: 0, max: 5}", 7, "space.bits.min: is 0; possible are 2 to 8"),
        ("max: 0.8}", "max: 1.2}", 5, "space.final_sparsity.max: is 1.2"),
        ("clusters: {min: 4", "clusters: {min: 1", 6, "space.clusters.min: is 1"),
        ("clusters: {min: 4, max: 16}", "clusters: {min: 16, max: 16}", 6, "raise bits.min"),
        ("bits: {min: 3, max: 5}", f"bits: {{min: 3, max: 1{'0' * 400}}}", 7, "space.bits.max: "),
        ("candidates: 3", "candidates: 0", 8, "candidates: must be more than 0 (found: 0)"),
        ("name: small", "name: small\ncandidats: 3", 2, "candidats: unknown key"),
        ("target: f405-emulated", "target: other", 10, "target: 'other' is not among devices"),
        ("devices: [f405-emulated]", "devices: [a, a, f405-emulated]", 9, "devices: lists a name twice"),
        ("candidates: 3", "candidates: 3\nseed: 100000000000000000000", 9, "seed: must be less than"),
        ("candidates: 3", f"candidates: 3\nseed: {'9' * 400}", 9, "seed: "),
        (
            "candidates: 3",
            "candidates: 3\ntraining: {learning_rate: .inf}",
            9,
            "learning_rate: must be a finite number",
        ),
        (
            "source: fashion-mnist",
            f"source: {'x' * 5000}",
            2,
            "data.source: must have at most 4095 characters",
        ),
        ("source: fashion-mnist", "source: d, layout: imagenet", 2, "data.layout: must be 'folders', 'casia"),
        ("source: fashion-mnist", "source: d, size: [0, 8]", 2, "data.size.0: must be 1 or more (found: 0)"),
        ("source: fashion-mnist", "source: d, channels: 2", 2, "data.channels: must be 1 or 3 (found: 2)"),
        ("source: fashion-mnist", "source: d, test_share: 1", 2, "data.test_share: must be less than 1 (found: 1)"),
        ("source: fashion-mnist", 'source: "a\\0b"', 2, "not valid YAML: a text holds a control character"),
        ("source: fashion-mnist", 'source: "\\ud800"', 2, "not valid YAML: a text holds a control character"),
        ("name: small", f"name: small\n{'k' * 500}: 3", 2, "unknown key"),
        ("source: fashion-mnist", "source: d, on: 1", 2, "data.1: a key must be a text: put it in quotes"),
        ("temperature: {min: 1, max: 8}", "temperature: {min: 9, max: 8}", 4, "min 9 is greater than max 8"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    path = study_with(tmp_path, old, new)
    message = complaint(path)
    assert words in message
    assert message.startswith(f"{path}:{line}:"), message
    assert len(message) < len(str(path)) + 250


def test_broken_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    path = study_with(tmp_path, "candidates: 3", "candidates: [3")
    assert "not valid YAML" in complaint(path)


@pytest.mark.parametrize(
    "value",
    [
        "[" * 3000 + "]" * 3000,
        "2001-99-99",
        "!!bool perhaps",
        '!!int ""',
        "!!timestamp soon",
        "9" * 5000,
        "0x" + "f" * 5000,
        "9" * 5000 + ".0",
    ],
    ids=["nested", "date", "bool", "int", "timestamp", "digits", "hexadecimal", "float"],
)
def test_what_yaml_cannot_convert_is_told_in_one_line(tmp_path: Path, value: str) -> None:
    path = study_with(tmp_path, "candidates: 3", f"candidates: {value}")
    assert "not valid YAML: " in complaint(path)


def test_merges_of_merges_do_not_fill_the_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 {k: 1}", *(f"a{i + 1}: &a{i + 1} {{<<: [{f'*a{i}, ' * 10}]}}" for i in range(30))]
    path = tmp_path / "study.yaml"
    path.write_text("\n".join(lines))
    assert complaint(path) == f"{path}:5: not valid YAML: a mapping has more than 1000 keys"


def test_a_path_that_no_file_can_have_is_told() -> None:
    with pytest.raises(UsageError, match="cannot be read: embedded null byte"):
        load_study(Path("a\0b"))
    with pytest.raises(UsageError, match=r"cannot be read: .*File name too long"):
        load_study(Path("x" * 5000))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert complaint(tmp_path / "none.yaml").endswith("no such file")


def test_an_unknown_device_is_named_with_the_known_ones(tmp_path: Path) -> None:
    path = study_with(tmp_path, "devices: [f405-emulated]\ntarget: f405-emulated", "devices: [nobody]\ntarget: nobody")
    with pytest.raises(UsageError, match=rf"{path}:9: devices: 'nobody' is not in .*f405-emulated"):
        study_devices(load_study(path), path)


@pytest.mark.parametrize(
    ("addition", "words"),
    [
        ("recipe: {loss: hinge}", "recipe.loss: must be 'mix', 't_squared' or 'sum'"),
        ("recipe: {alpha: 1.5}", "recipe.alpha: must be from 0 to 1, got 1.5"),
        ("recipe: {prunning: layer}", "recipe.prunning: unknown key"),
        ("recipe: {initial_sparsity: 0.4}", "recipe.initial_sparsity: is 0.4, more than space.final_sparsity.min 0.2"),
        ("recipe:\n  schedule:\n    noise: 2", "recipe.schedule.noise: must be from 0 to 1, got 2"),
        ("recipe: {schedule: {nois: 1}}", "recipe.schedule.nois: must be left out"),
        ("recipe: {layers: [{bits: 4}]}", "recipe.layers[0]: must be a table with"),
        ("recipe: {layers: [{match: first, bits: 9}]}", "recipe.layers[first].bits: must be"),
        ("recipe: {layers: [{match: last, bits: 3}]}", "leaves a layer up to 16 clusters, but 3 bits tell 8"),
        ("recipe: {layers: [{match: last, clusters: 9}]}", "leaves a layer up to 9 clusters, but 3 bits tell 8"),
        ("training: {batch_size: 1}", "training.batch_size: must be 2 or more (found: 1)"),
        ("training: {augmentation: crop}", "training.augmentation: must be 'none', 'flip'"),
        ("training: {autocast: int8}", "training.autocast: must be 'none', 'bf16' or 'fp16'"),
        ("teacher: {members: 0}", "teacher.members: must be 1 or more (found: 0)"),
        ("teacher: {members: 2, weights: w.safetensors}", "teacher.members: the members of an ensemble would"),
        ("teacher: {compressed: true}", "teacher.compressed: a teacher is compressed by its student's recipe"),
        ("teacher: {onnx: t.onnx, parallel: true}", "teacher.onnx: stands for the whole teacher"),
        ("teacher: {mean: [1]}", "teacher.mean: is for a teacher from an onnx file"),
        ("teacher: {output: logits}", "teacher.output: is for a teacher from an onnx file"),
        ("teacher: {onnx: t.onnx, output: softmax}", "teacher.output: must be 'logits' or 'probabilities'"),
        ("teacher: {onnx: t.onnx, mean: [1]}", "teacher.onnx: give both mean and deviation"),
        ("teacher: {weights: w, training: {epochs: 9}}", "teacher.training: the teacher comes trained, from weights;"),
        ("teacher: {onnx: t.onnx, training: {epochs: 9}}", "teacher.training: the teacher comes trained, from onnx;"),
        ("teacher: {parallel: true, training: {epochs: 9}}", "teacher.training: a parallel teacher is trained as its"),
        ("teacher: {onnx: t.onnx, mean: [1], deviation: [0]}", "teacher.deviation.0: must be more than 0 (found: 0)"),
    ],
)
def test_options_that_cannot_work_are_named_with_their_line(tmp_path: Path, addition: str, words: str) -> None:
    path = study_with(tmp_path, "candidates: 3", f"candidates: 3\n{addition}")
    message = complaint(path)
    line = 9 + addition.count("\n")
    assert message.startswith(f"{path}:{line}: ") and words in message, message


@pytest.mark.parametrize(
    ("addition", "words"),
    [
        ("seed: two", "seed: must be a whole number (found: 'two')"),
        ("seed: 1.5", "seed: must be a whole number (found: 1.5)"),
        ("seed:", "seed: must be a whole number (found: nothing)"),
        ("seed: []", "seed: must be a whole number"),
        ("teacher: {parallel: perhaps}", "teacher.parallel: must be true or false (found: 'perhaps')"),
        ("teacher: {weights: 3}", "teacher.weights: must be the path of a file (found: 3)"),
        ("teacher: {mean: 3}", "teacher.mean: must be a list (found: 3)"),
        ("teacher: resnet8", "teacher: must be a mapping of keys to values (found: 'resnet8')"),
        ("training: {learning_rate: fast}", "training.learning_rate: must be a number (found: 'fast')"),
        ("model: {name: 8}", "model.name: must be a text (found: 8)"),
        ("limits: {latency_s: 0}", "limits.latency_s: must be more than 0 (found: 0)"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_in_plain_words(tmp_path: Path, addition: str, words: str) -> None:
    message = complaint(study_with(tmp_path, "candidates: 3", f"candidates: 3\n{addition}"))
    assert message.endswith(f":9: {words}"), message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name: small", "name: a b", "name: must be of the form ^[A-Za-z0-9]"),
        ("devices: [f405-emulated]", "devices: []", "devices: must have 1 or more entries, has 0"),
        ("source: fashion-mnist", 'source: ""', "data.source: must have 1 or more characters (found: '')"),
        ("data: {source: fashion-mnist}", "data: {}", "data.source: this key is missing"),
    ],
)
def test_what_is_missing_or_empty_is_told_in_plain_words(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert words in complaint(study_with(tmp_path, old, new))


def test_options_and_files_of_a_study_are_read(tmp_path: Path) -> None:
    options = """\
candidates: 3
teacher: {weights: nets/w.safetensors, parallel: true, compressed: true}
training: {augmentation: flip-shift, autocast: bf16}
recipe:
  loss: sum
  pruning: global
  layers:
    - {match: first, final_sparsity: 0, bits: 8}
    - {match: "stage3.*", clusters: 4}
  schedule: {noise_block: 4}
"""
    config = load_study(study_with(tmp_path, "candidates: 3\n", options))
    assert config.teacher.weights == tmp_path / "nets/w.safetensors"
    recipe = config.recipe.recipe({"temperature": 2.0, "final_sparsity": 0.5, "clusters": 8, "bits": 4})
    assert (recipe.loss, recipe.pruning, recipe.schedule.noise_block) == ("sum", "global", 4)
    assert recipe.for_layer("conv", {"first"}) == LayerSettings(0, 8, 8)
    assert recipe.for_layer("stage3.conv1") == LayerSettings(0.5, 4, 4)


def test_a_key_that_is_there_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    path = study_with(tmp_path, "target: f405-emulated\n", "target: f405-emulated\ncandidates: 9\n")
    assert complaint(path) == f"{path}:11: not valid YAML: the key 'candidates' is there twice, first in line 8"


def test_what_is_merged_in_may_be_said_again(tmp_path: Path) -> None:
    both = "space: &space\n  <<: {bits: {min: 2, max: 8}}\n  temperature"
    path = study_with(tmp_path, "space:\n  temperature", both)
    assert load_study(path).space.bits.min == 3
