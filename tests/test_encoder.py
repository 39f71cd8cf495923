"""Encoders: folders of several layouts, the embedded one, batching, errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from omnirouter import export_encoder
from omnirouter.cli import main
from omnirouter.errors import MissingExtraError, PredictorError
from omnirouter.predictor import Encoder, embedded, embedded_encoder
from omnirouter.predictor.encoder_config import EncoderConfig
from omnirouter.predictor.export import ExportReport

TEXTS = [
    "What is 2 + 2?",
    "x",
    "Write a Python function that reverses a string. " * 20,
    "Über das Wetter in Köln: 漢字 🙂",
    "What is 2 + 2?",
    "A\n\nB) 4\tC)",
]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "one", "two", "three", "four", "five"]
TABLE = np.random.default_rng(0).normal(size=(len(VOCABULARY), 4)).astype(np.float32)


def word_tokenizer() -> Tokenizer:
    vocabulary = {word: i for i, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def token_graph(inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids")) -> bytes:
    """Graph that returns one vector per token: a row of TABLE plus ten times the token's type."""
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])]
    graph = helper.make_graph(
        nodes,
        "tokens",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "l"]) for name in inputs],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["b", "l", 4])],
        [numpy_helper.from_array(TABLE, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(token_graph())
    word_tokenizer().save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.fixture(scope="module")
def embedded_one() -> Encoder:
    return embedded_encoder(threads=1)


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def token_vectors(text: str, max_length: int = 512) -> np.ndarray:
    tokenizer = word_tokenizer()
    tokenizer.enable_truncation(max_length)
    return TABLE[tokenizer.encode(text).ids]


# Folders


def test_a_folder_without_settings_is_pooled_by_mean(folder: Path) -> None:
    vectors = Encoder.load(folder).encode(["one two", "three"])
    expected = [token_vectors(text).mean(axis=0) for text in ("one two", "three")]
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_sentence_transformers_settings_are_followed(folder: Path) -> None:
    steps = [
        {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    write_json(folder / "modules.json", steps)
    flags = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "word_embedding_dimension": 4}
    write_json(folder / "1_Pooling" / "config.json", flags)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 5})
    encoder = Encoder.load(folder)
    assert encoder.config == EncoderConfig(pooling="cls", normalize=True, max_length=5)
    cls = TABLE[2] / np.linalg.norm(TABLE[2])
    np.testing.assert_allclose(encoder.encode(["one", "two three"]), [cls, cls], atol=1e-6)


def test_the_newer_name_of_the_pooling_mode_is_read(folder: Path) -> None:
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode": "cls"})
    assert Encoder.load(folder).config.pooling == "cls"


def test_longest_input_comes_from_the_tokenizer_settings(folder: Path) -> None:
    write_json(folder / "tokenizer_config.json", {"model_max_length": 4})
    text = "one two three four five"
    np.testing.assert_allclose(Encoder.load(folder).encode([text])[0], token_vectors(text, 4).mean(axis=0), atol=1e-6)


def test_an_unlimited_tokenizer_falls_back_to_512(folder: Path) -> None:
    write_json(folder / "tokenizer_config.json", {"model_max_length": 1e30})
    assert Encoder.load(folder).config.max_length == 512


def test_the_graph_may_be_in_the_folder_onnx(folder: Path) -> None:
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model.onnx")
    assert Encoder.load(folder).dim == 4


def test_tokens_are_counted_before_the_cut(folder: Path) -> None:
    write_json(folder / "tokenizer_config.json", {"model_max_length": 4})
    _, tokens = Encoder.load(folder).encode_counted(["one two three four five " * 20, "one"])
    assert tokens[0] >= 100
    assert tokens[1] == 3


def test_save_and_load_give_the_same_bits(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    encoder = Encoder.load(folder)
    encoder.save(copy)
    again = Encoder.load(copy)
    assert again.config == encoder.config
    np.testing.assert_array_equal(again.encode(TEXTS), encoder.encode(TEXTS))


def test_a_prefix_is_put_before_every_text(folder: Path) -> None:
    plain = Encoder.load(folder).encode(["one two three", "one"])
    write_json(folder / "encoder.json", {"prefix": "one "})
    np.testing.assert_allclose(Encoder.load(folder).encode(["two three", ""]), plain, atol=1e-6)


# Errors


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(PredictorError, match=name):
        Encoder.load(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_damaged_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x00\xff nonsense")
    with pytest.raises(PredictorError, match=name):
        Encoder.load(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "1_Pooling/config.json",
            {"pooling_mode_max_tokens": True},
            "max_tokens.*expected mean_tokens or cls",
        ),
        (
            "modules.json",
            [{"type": "models.Dense", "path": "2_Dense"}],
            "step 'Dense', which is not supported",
        ),
        ("modules.json", {"type": 1}, "not a list of steps"),
        ("tokenizer_config.json", [1], "holds list, expected a JSON object"),
        ("encoder.json", {"poling": "mean"}, "unknown setting 'poling'"),
        ("encoder.json", {"pooling": "max"}, "pooling 'max' is not supported; expected one of mean, cls"),
        ("encoder.json", {"max_length": 0}, "max_length is 0, expected a positive whole number"),
        ("encoder.json", {"prefix": None}, "prefix is None, expected a string"),
        ("encoder.json", {"normalize": 1}, "normalize is 1, expected true or false"),
    ],
)
def test_unsupported_settings_are_named(folder: Path, name: str, content: object, message: str) -> None:
    write_json(folder / name, content)
    with pytest.raises(PredictorError, match=message):
        Encoder.load(folder)


def test_broken_json_is_named(folder: Path) -> None:
    (folder / "encoder.json").write_text("{")
    with pytest.raises(PredictorError, match=r"encoder\.json is not readable JSON"):
        Encoder.load(folder)


def test_a_graph_that_needs_more_than_text_is_refused(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(token_graph(("input_ids", "attention_mask", "pixel_values")))
    with pytest.raises(PredictorError, match=r"takes the inputs .*pixel_values.* expected input_ids"):
        Encoder.load(folder)


def test_no_folder_and_no_hub_package_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(PredictorError, match=r"neither a folder here nor .*huggingface_hub is not installed"):
        Encoder.load("someone/some-encoder")


def test_a_hub_name_is_fetched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def snapshot_download(name: str, *, allow_patterns: list[str]) -> str:
        asked.append((name, "model.onnx" in allow_patterns))
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    assert Encoder.load("someone/some-encoder").dim == 4
    assert asked == [("someone/some-encoder", True)]


def test_a_hub_failure_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def snapshot_download(name: str, **_: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    with pytest.raises(PredictorError, match="could it be fetched from the Hugging Face hub: no network"):
        Encoder.load("someone/some-encoder")


def test_an_export_without_its_extra_names_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    assert main(["export-encoder", str(folder), str(folder / "out")]) == 2
    assert 'pip install "omnirouter[train]"' in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_an_export_of_no_folder_needs_no_extra_to_say_so(folder: Path) -> None:
    with pytest.raises(PredictorError, match=r"model '.*absent' is no folder here"):
        export_encoder(folder / "absent", folder / "out")


def test_an_export_in_words_has_what_was_measured() -> None:
    report = ExportReport(Path("out"), 384, 256, 23_000_000, 2e-7, 0.984)
    assert report.in_words() == (
        "out: 384 numbers per text, 256 tokens at most, 23.0 MB; float vectors within 2.0e-07 of sentence-transformers, "
        "int8 vectors at a cosine of at least 0.9840 with them"
    )


def test_wrong_arguments_are_refused(embedded_one: Encoder, folder: Path) -> None:
    with pytest.raises(TypeError, match="texts is one string"):
        embedded_one.encode("one text")
    with pytest.raises(ValueError, match="batch_size is 0, expected at least 1"):
        embedded_one.encode(["a"], batch_size=0)
    with pytest.raises(ValueError, match="threads is -1"):
        Encoder.load(folder, threads=-1)


# Batching


@pytest.mark.parametrize("batch_size", [1, 2, 256])
def test_a_vector_does_not_depend_on_the_batch(embedded_one: Encoder, batch_size: int) -> None:
    together = embedded_one.encode(TEXTS * 3, batch_size=batch_size)
    alone = np.concatenate([embedded_one.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, np.tile(alone, (3, 1)), atol=1e-6)
    assert together.dtype == np.float32
    assert together.flags.c_contiguous


def test_no_text_gives_no_rows(embedded_one: Encoder) -> None:
    assert embedded_one.encode([]).shape == (0, 256)


def test_text_without_tokens_gives_a_finite_vector(embedded_one: Encoder) -> None:
    np.testing.assert_array_equal(embedded_one.encode([""]), np.zeros((1, 256)))


def test_progress_ends_at_the_total(embedded_one: Encoder) -> None:
    seen: list[tuple[int, int]] = []
    embedded_one.encode(TEXTS, batch_size=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 6), (4, 6), (6, 6)]


# The embedded encoder


def test_embedded_encoder_is_the_normalised_mean_of_its_table(embedded_one: Encoder) -> None:
    weights, tokenizer_file = embedded.embedded_files()
    table = load_file(weights)["embedding.weight"].astype(np.float64)
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    means = np.array([table[tokenizer.encode(text, add_special_tokens=False).ids].mean(axis=0) for text in TEXTS])
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(embedded_one.encode(TEXTS), expected, atol=1e-6)


def test_embedded_encoder_agrees_with_its_package(embedded_one: Encoder, tmp_path: Path) -> None:
    # In a process of its own: importing the package changes the logging of the whole program.
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS), encoding="utf-8")
    script = """
import json, sys
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from wordllama.inference import WordLlamaInference
weights, tokenizer, texts, out = sys.argv[1:]
model = WordLlamaInference(load_file(weights)["embedding.weight"], Tokenizer.from_file(tokenizer))
np.save(out, model.embed(json.load(open(texts, encoding="utf-8")), norm=True))
"""
    weights, tokenizer = embedded.embedded_files()
    out = tmp_path / "out.npy"
    subprocess.run(
        [sys.executable, "-c", script, weights, tokenizer, tmp_path / "texts.json", out],
        check=True,
        capture_output=True,
    )
    np.testing.assert_allclose(embedded_one.encode(TEXTS), np.load(out), atol=1e-6)


def test_embedded_encoder_cuts_long_prompts(embedded_one: Encoder) -> None:
    start = "word " * 2048
    long = start + "and something else entirely " * 50_000
    vectors, tokens = embedded_one.encode_counted([long, start])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-3)
    assert tokens[0] > 100_000


def test_embedded_folder_is_small_and_checked_by_onnx(embedded_one: Encoder, tmp_path: Path) -> None:
    embedded_one.save(tmp_path)
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"), full_check=True)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 20e6
    np.testing.assert_array_equal(Encoder.load(tmp_path).encode(TEXTS), embedded_one.encode(TEXTS))


def test_embedded_encoder_does_not_import_its_package() -> None:
    script = (
        "import sys; from omnirouter.predictor import embedded_encoder; embedded_encoder().encode(['a']); "
        "assert 'wordllama' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_missing_embeddings_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"wordllama is not installed; run: pip install"):
        embedded_encoder()
