"""A study: network, data, devices, what is searched and what is allowed (study.yaml)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dccdka.augmentation import Augmentation
from dccdka.teachers import OnnxOutput
from dccdka.training_config import Autocast
from harness.config.recipe import RecipeSettings
from harness.config.yaml_file import StrictModel, read_model, wrong_key


class FloatRange(StrictModel):
    min: float
    max: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min:g} is greater than max {self.max:g}")
        if self.log and self.min <= 0:
            raise wrong_key("min", "a logarithmic range must start above 0")
        return self


class IntRange(StrictModel):
    min: int = Field(ge=0, le=1_000_000)
    max: int = Field(ge=0, le=1_000_000)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is greater than max {self.max}")
        return self


class Space(StrictModel):
    """The recipe's ranges. clusters is searched up to 2**bits of the same recipe: more could not be told apart."""

    temperature: FloatRange = FloatRange(min=1.0, max=10.0, log=True)
    final_sparsity: FloatRange = FloatRange(min=0.3, max=0.9)
    clusters: IntRange = IntRange(min=4, max=32)
    bits: IntRange = IntRange(min=3, max=8)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        _inside("temperature", self.temperature, 1.0, 100.0)
        _inside("final_sparsity", self.final_sparsity, 0.0, 0.99)
        _inside("clusters", self.clusters, 2, 256)
        _inside("bits", self.bits, 2, 8)
        if self.clusters.min > 2**self.bits.min:
            raise wrong_key(
                "clusters.min",
                f"{self.clusters.min} cannot be told apart by bits.min {self.bits.min}"
                f" (at most {2**self.bits.min}); lower clusters.min or raise bits.min",
            )
        return self


def _inside(key: str, given: FloatRange | IntRange, lowest: float, highest: float) -> None:
    for end, value in (("min", given.min), ("max", given.max)):
        if not lowest <= value <= highest:
            raise wrong_key(f"{key}.{end}", f"is {value:g}; possible are {lowest:g} to {highest:g}")


ImageLength = Annotated[int, Field(ge=1, le=65_535)]


class DataConfig(StrictModel):
    """source: "fashion-mnist", a folder, a .npz file, or "module:function" (docs/datasets.md).

    The other keys but validation say how a folder of image files is read, and are the fields of
    dccdka.datasets.ImageOptions.
    """

    source: str = Field(min_length=1)
    validation: int = Field(default=5000, gt=0)
    layout: Literal["folders", "casia-iris-v4", "ubiris-v1", "ubiris-v2"] | None = None
    size: tuple[ImageLength, ImageLength] | None = None
    channels: Literal[1, 3] | None = None
    split: Literal["by-image", "subject-disjoint"] | None = None
    class_from: str | None = None
    subject_from: str | None = None
    test_share: float | None = Field(default=None, gt=0, lt=1)


class ModelConfig(StrictModel):
    """name: one of dccdka.models.NETWORKS or "module:function"; width null: the published one."""

    name: str = "resnet8"
    width: int | None = Field(default=None, gt=0, le=256)


class TrainingSettings(StrictModel):
    epochs: int = Field(default=3, gt=0, le=100_000)
    batch_size: int = Field(default=128, ge=2, le=1_000_000)
    learning_rate: float = Field(default=0.01, gt=0)
    augmentation: Augmentation = "none"
    autocast: Autocast = "none"


class TeacherConfig(ModelConfig):
    """members: more than one is an ensemble. weights: a safetensors file of the network, which is then not trained.

    onnx: a file that teaches instead; mean, deviation: per channel, it sees (pixel - mean) / deviation; output: what it
    gives, null looks. parallel: the teacher learns beside every student, as that does; compressed: and is compressed by
    the same recipe. training is for a teacher that none of these gives.
    """

    training: TrainingSettings = TrainingSettings()
    members: int = Field(default=1, ge=1, le=64)
    weights: Path | None = None
    onnx: Path | None = None
    mean: list[float] | None = None
    deviation: list[Annotated[float, Field(gt=0)]] | None = None
    output: OnnxOutput | None = None
    parallel: bool = False
    compressed: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.weights is not None and self.members > 1:
            raise wrong_key("members", "the members of an ensemble would all be those weights; leave one of both out")
        if self.compressed and not self.parallel:
            raise wrong_key("compressed", "a teacher is compressed by its student's recipe: it needs parallel: true")
        if self.onnx is not None and (self.weights is not None or self.members > 1 or self.parallel):
            raise wrong_key("onnx", "stands for the whole teacher: leave out weights, members and parallel")
        # A study's journal holds every key, so that what is left out is what has its default.
        if self.training != TrainingSettings():
            if self.parallel:
                raise wrong_key("training", "a parallel teacher is trained as its student is: leave this key out")
            if self.onnx is not None or self.weights is not None:
                trained = "onnx" if self.onnx is not None else "weights"
                raise wrong_key("training", f"the teacher comes trained, from {trained}; leave one of both keys out")
        for key in ("mean", "deviation", "output"):
            if self.onnx is None and getattr(self, key) is not None:
                raise wrong_key(key, "is for a teacher from an onnx file")
        if (self.mean is None) != (self.deviation is None):
            raise wrong_key("onnx", "give both mean and deviation, or neither")
        return self


class Limits(StrictModel):
    """What the application allows on the target, below what the board's profile allows anyway."""

    latency_s: float | None = Field(default=None, gt=0)
    ram_bytes: int | None = Field(default=None, gt=0, lt=2**63)
    flash_bytes: int | None = Field(default=None, gt=0, lt=2**63)
    energy_j: float | None = Field(default=None, gt=0)


class MetricsConfig(StrictModel):
    """Where Prometheus scrapes; port 0 takes a free one, null serves nothing, and none given 9464 if it is free."""

    host: str = "127.0.0.1"
    port: int | None = Field(default=9464, ge=0, lt=65536)


class StudyConfig(StrictModel):
    """target is the device whose latency, RAM, flash and energy are searched; the others are measured too."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    data: DataConfig
    model: ModelConfig = ModelConfig()
    teacher: TeacherConfig = TeacherConfig()
    training: TrainingSettings = TrainingSettings()
    space: Space = Space()
    recipe: RecipeSettings = RecipeSettings()
    candidates: int = Field(gt=0, le=100_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    compute: Literal["auto", "cpu", "cuda"] = "auto"
    inventory: Path | None = None
    devices: list[str] = Field(min_length=1)
    target: str
    limits: Limits = Limits()
    verify_inputs: int = Field(default=32, gt=0, le=10_000)
    metrics: MetricsConfig = MetricsConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.target not in self.devices:
            raise wrong_key("target", f"{self.target!r} is not among devices: {', '.join(self.devices)}")
        if len(set(self.devices)) != len(self.devices):
            raise wrong_key("devices", "lists a name twice")
        self._recipes_possible()
        return self

    def _recipes_possible(self) -> None:
        space, options = self.space, self.recipe
        if options.initial_sparsity > space.final_sparsity.min:
            raise wrong_key(
                "recipe.initial_sparsity",
                f"is {options.initial_sparsity:g}, more than space.final_sparsity.min {space.final_sparsity.min:g}",
            )
        for rule in options.layers:
            if rule.get("bits") is None and rule.get("clusters") is None:
                continue
            bits = rule.get("bits") or space.bits.min
            clusters = rule.get("clusters") or min(space.clusters.max, 2**space.bits.max)
            if clusters > 2**bits:
                raise wrong_key(
                    "recipe.layers",
                    f"the rule for {rule['match']!r} leaves a layer up to {clusters} clusters, but {bits} bits tell"
                    f" {2**bits} values apart; give the rule fewer clusters or more bits",
                )


def load_study(path: Path) -> StudyConfig:
    """Raises UsageError with file, line and key. The files that it names are taken relative to the study file."""
    config = read_model(path, StudyConfig)
    teacher = config.teacher.model_copy(
        update={name: _beside(path, getattr(config.teacher, name)) for name in ("weights", "onnx")}
    )
    return config.model_copy(update={"inventory": _beside(path, config.inventory), "teacher": teacher})


def _beside(study: Path, file: Path | None) -> Path | None:
    return None if file is None else study.parent / file  # an absolute one stays itself
