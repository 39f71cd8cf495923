"""Encoders trained on outcomes: better on held-out prompts, or nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from omnirouter import Outcomes, finetune_encoder
from omnirouter.cli import main
from omnirouter.errors import PredictorError
from omnirouter.predictor import Encoder
from tiny_encoder import WORDS, tiny_encoder

pytestmark = pytest.mark.train

STRONG = {"steps": 40, "learning_rate": 1e-2}  # the model has few weights and all of them are random


def outcomes_of(*, learnable: bool, holes: float = 0.0) -> Outcomes:
    """300 prompts of four words; two of four models solve those with the word "one", the others the rest."""
    rng = np.random.default_rng(0)
    words = [word for word in WORDS if word.isascii() and word.isalpha()]
    prompts = [" ".join(rng.choice(words, size=4)) for _ in range(300)]
    easy = np.array(["one" in prompt.split() for prompt in prompts])
    if not learnable:
        easy = rng.random(300) < 0.5
    acc = np.stack([easy, ~easy, easy, ~easy], axis=1).astype(np.float64)
    acc[rng.random(acc.shape) < 0.1] = 0.5
    acc[rng.random(acc.shape) < holes] = np.nan
    acc[:, 0] = np.where(np.isnan(acc).all(axis=1), easy, acc[:, 0])
    return Outcomes(prompts=prompts, models=["a", "b", "c", "d"], acc=acc)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    tiny_encoder(tmp_path / "model").save(str(tmp_path / "base"))
    return tmp_path / "base"


@pytest.mark.parametrize("holes", [0.0, 0.6])
def test_an_encoder_that_learned_is_kept(base: Path, tmp_path: Path, holes: float) -> None:
    seen: list[tuple[int, int]] = []
    report = finetune_encoder(
        outcomes_of(learnable=True, holes=holes),
        base,
        tmp_path / "out",
        progress=lambda done, total: seen.append((done, total)),
        **STRONG,
    )
    assert report.kept
    assert report.after < 0.5 * report.before
    assert 55 <= report.prompts <= 60  # equal prompts stay together
    assert Encoder.load(tmp_path / "out").dim == 16
    assert seen == [(step, 40) for step in range(1, 41)]


def test_the_same_seed_gives_the_same_encoder(base: Path, tmp_path: Path) -> None:
    outcomes = outcomes_of(learnable=True)
    reports = [finetune_encoder(outcomes, base, tmp_path / name, seed=3, **STRONG) for name in ("a", "b")]
    assert reports[0].after == reports[1].after


def test_an_encoder_that_learned_nothing_is_not_written(base: Path, tmp_path: Path) -> None:
    report = finetune_encoder(outcomes_of(learnable=False), base, tmp_path / "out", **STRONG)
    assert not report.kept
    assert report.folder is None
    assert "not kept" in report.in_words()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps is 0, expected a whole number >= 1"),
        ({"batch_size": 1}, "batch_size is 1, expected a whole number >= 2"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0, expected a number between 0 and 1"),
        ({"batch_size": 250}, "have 300 prompts, 24. of them to train on"),
    ],
)
def test_wrong_settings_are_refused(base: Path, tmp_path: Path, settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        finetune_encoder(outcomes_of(learnable=True), base, tmp_path / "out", **settings)


def test_prompts_without_a_model_in_common_are_refused(base: Path, tmp_path: Path) -> None:
    acc = np.full((300, 300), np.nan)
    np.fill_diagonal(acc, 1.0)
    outcomes = outcomes_of(learnable=True)
    sparse = Outcomes(prompts=outcomes.prompts, models=[f"m{j}" for j in range(300)], acc=acc)
    with pytest.raises(PredictorError, match="too sparse"):
        finetune_encoder(sparse, base, tmp_path / "out")


def test_the_command_ends_with_1_where_nothing_is_kept(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes_of(learnable=False).write(tmp_path / "history.parquet")
    capsys.readouterr()
    command = ["finetune-encoder", str(tmp_path / "history.parquet"), str(base), str(tmp_path / "out"), "--steps", "2"]
    assert main([*command, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["kept"] is False
