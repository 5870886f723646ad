"""The ablation keeps what is finished, and runs only what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import ablation
from benchmarks.ablation import VARIANTS, Result, Settings, results_of, rows


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, epochs=4, learning_rate=0.02, batch_size=128)


def write(settings: Settings, *results: Result) -> None:
    lines = [json.dumps(vars(result)) + "\n" for result in results]
    settings.results.write_text("".join(lines), encoding="utf-8")


def test_what_is_on_file_is_not_trained_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "prepare_teacher", lambda settings: pytest.fail("began a training"))
    name = VARIANTS[0].name
    write(settings, *(Result(name, seed, 4, 0.9 + seed / 100, 1000) for seed in ablation.SEEDS))
    (row,) = rows(results_of(settings, VARIANTS[:1], workers=1), VARIANTS)
    assert row == {
        "variant": name,
        "seeds": 3,
        "test_accuracy": pytest.approx(0.91),
        "lowest": 0.9,
        "highest": 0.92,
        "artifact_bytes": 1000,
    }


def test_results_of_other_epochs_do_not_count(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Began(Exception):
        pass

    def prepare(settings: Settings) -> None:
        raise Began

    monkeypatch.setattr(ablation, "prepare_teacher", prepare)
    write(settings, *(Result(VARIANTS[0].name, seed, 8, 0.9, 1000) for seed in ablation.SEEDS))
    with pytest.raises(Began):
        results_of(settings, VARIANTS[:1], workers=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--epochs", "6"], "multiple of 4"), (["--only", "nonsense"], "no variant 'nonsense'; there are: dense float")],
)
def test_wrong_arguments_are_told_before_any_work(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        ablation.main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_has_the_same_epochs(variant: ablation.Variant, settings: Settings) -> None:
    stages = variant.stages or (None,)
    assert sum(settings.training(0, stage).epochs for stage in stages) == settings.epochs
