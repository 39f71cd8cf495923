"""Text to vectors: an ONNX graph behind a tokenizer, on a CPU."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.checks import as_path, maybe_callable
from omnirouter.errors import PredictorError
from omnirouter.extras import require
from omnirouter.predictor.base import Progress
from omnirouter.predictor.encoder_config import EncoderConfig

__all__ = ["Encoder", "open_session"]

MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
WEIGHT_FILES = ("model.onnx_data", "model.onnx.data")  # weights kept outside a graph of more than 2 GB
CHUNK = 4096  # texts tokenised at once: bounds memory, keeps the tokenizer's threads busy
BATCH_TOKENS = 8192  # padded tokens per run: token vectors of a batch then stay in the cache
CHARS_PER_TOKEN = 64  # times the tokens that can be used: where a text is cut before it is tokenised


class Encoder:
    """Sentence encoder served by onnxruntime and tokenizers.

    A folder holds `model.onnx` (or `onnx/model.onnx`) and `tokenizer.json`, and optionally the settings of
    `EncoderConfig.read`. The graph takes `input_ids` and `attention_mask` (and `token_type_ids`), and returns
    one vector per text, or one per token, which are then pooled.

    Parameters
    ----------
    model : Path or bytes
        The graph, as a file or serialised.
    tokenizer : str
        Content of `tokenizer.json`.
    config : EncoderConfig
        Pooling, normalisation, longest input.
    threads : int, default 0
        Threads of onnxruntime; 0 uses all cores.

    Attributes
    ----------
    dim : int
        Length d of a vector.
    config : EncoderConfig
        The settings in use.

    Notes
    -----
    The same text gives the same vector whatever the other texts are, up to float32 rounding (1e-6); an int8
    graph scales activations by batch, so its vectors move a little (cosine about .99). Texts are
    sorted by length and padded batch by batch, so that little work goes into padding. A text of more than 64
    characters per usable token is cut there before tokenising, so that one huge text cannot stall a batch.
    """

    def __init__(self, model: Path | bytes, tokenizer: str, config: EncoderConfig, *, threads: int = 0) -> None:
        if threads < 0:
            raise ValueError(f"threads is {threads}, expected 0 (all) or more")
        self.config = config
        self._model = model
        self._tokenizer_json = tokenizer
        self._tokenizer = _open_tokenizer(tokenizer, config.max_length)
        self._session = open_session(model, threads)
        self._inputs = _input_types(self._session)
        names = [output.name for output in self._session.get_outputs()]
        self._output = "sentence_embedding" if "sentence_embedding" in names else names[0]
        self.dim = self.encode(["a"]).shape[1]

    @classmethod
    def load(cls, source: str | Path, *, threads: int = 0) -> Encoder:
        """Open an encoder folder, or fetch one by its name on the Hugging Face hub.

        Parameters
        ----------
        source : str or Path
            A local folder, looked for first, or a hub name such as
            ``"sentence-transformers/all-MiniLM-L6-v2"``, which needs a network and the package
            `huggingface_hub`.
        threads : int, default 0
            Threads of onnxruntime; 0 uses all cores.

        Raises
        ------
        PredictorError
            When there is no such folder or hub name, a file is missing or damaged, or the graph takes inputs
            or its settings ask for steps that are not supported.
        """
        folder = as_path("encoder", source)
        if not folder.is_dir():
            folder = _fetch(str(source))
        model = next((path for path in (folder / MODEL_FILE, folder / "onnx" / MODEL_FILE) if path.is_file()), None)
        if model is None:
            raise PredictorError(f"encoder folder {folder} has no {MODEL_FILE} (nor onnx/{MODEL_FILE})")
        try:
            tokenizer = (folder / TOKENIZER_FILE).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PredictorError(f"encoder folder {folder} has no readable {TOKENIZER_FILE}: {error}") from error
        return cls(model, tokenizer, EncoderConfig.read(folder), threads=threads)

    def save(self, folder: str | Path) -> None:
        """Write graph, tokenizer and settings into an existing folder, for `load` to read."""
        folder = Path(folder)
        if isinstance(self._model, bytes):
            (folder / MODEL_FILE).write_bytes(self._model)
        else:
            shutil.copyfile(self._model, folder / MODEL_FILE)
            for weights in (self._model.parent / name for name in WEIGHT_FILES):
                if weights.is_file():
                    shutil.copyfile(weights, folder / weights.name)
        (folder / TOKENIZER_FILE).write_text(self._tokenizer_json, encoding="utf-8")
        self.config.write(folder)

    def encode(
        self, texts: Sequence[str], *, batch_size: int = 256, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Return one vector per text.

        Parameters
        ----------
        texts : sequence of str
            Any lengths; tokens past `config.max_length` are cut off.
        batch_size : int, default 256
            Most texts in one run; a run never has more than 8,192 padded tokens unless one text alone does.
        progress : callable, optional
            Called as ``progress(done, total)`` after each batch.

        Returns
        -------
        (n, d) float32
            In the order of `texts`; (0, d) for no text.
        """
        return self.encode_counted(texts, batch_size=batch_size, progress=progress)[0]

    def encode_counted(
        self, texts: Sequence[str], *, batch_size: int = 256, progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return one vector and the number of tokens of each text, counted before any cut.

        Parameters and errors are those of `encode`; the count of a text that is cut before tokenising is
        scaled up by its length in characters.

        Returns
        -------
        vectors : (n, d) float32
        tokens : (n,) float64
        """
        if isinstance(texts, str):
            raise TypeError("texts is one string, expected a sequence of strings")
        maybe_callable("progress", progress)
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        n = len(texts)
        tokens = np.zeros(n)
        if n == 0:
            return np.zeros((0, self.dim), dtype=np.float32), tokens
        vectors: NDArray[np.float32] | None = None
        cut = CHARS_PER_TOKEN * self.config.max_length
        # Longest first: memory peaks at the start and an estimate of the remaining time errs on the safe
        # side.
        by_chars = sorted(range(n), key=lambda i: -len(texts[i]))
        done = 0
        for start in range(0, n, CHUNK):
            chunk = by_chars[start : start + CHUNK]
            encodings = self._tokenizer.encode_batch_fast([self.config.prefix + texts[i][:cut] for i in chunk])
            ids = [encoding.ids for encoding in encodings]
            for i, encoding in zip(chunk, encodings, strict=True):
                count = len(encoding) + sum(map(len, encoding.overflowing))
                tokens[i] = count * max(1.0, len(texts[i]) / cut)
            order = sorted(range(len(chunk)), key=lambda c: -len(ids[c]))
            while order:
                longest = max(1, len(ids[order[0]]))
                size = max(1, min(batch_size, BATCH_TOKENS // longest))
                batch, order = order[:size], order[size:]
                rows = self._run([ids[c] for c in batch], longest)
                if vectors is None:
                    vectors = np.empty((n, rows.shape[1]), dtype=np.float32)
                vectors[[chunk[c] for c in batch]] = rows
                done += len(batch)
                if progress is not None:
                    progress(done, n)
        assert vectors is not None  # n > 0, so at least one batch ran
        return vectors, tokens

    def _run(self, ids: list[list[int]], longest: int) -> NDArray[np.float32]:
        mask = np.arange(longest) < np.array([len(row) for row in ids])[:, None]
        padded = np.zeros(mask.shape, dtype=np.int64)
        padded[mask] = np.fromiter(chain.from_iterable(ids), np.int64, int(mask.sum()))
        values = {"input_ids": padded, "attention_mask": mask, "token_type_ids": np.zeros_like(padded)}
        feed = {name: values[name].astype(dtype) for name, dtype in self._inputs.items()}
        output: NDArray[np.float32] = self._session.run([self._output], feed)[0]
        if output.ndim == 3:
            output = _mean(output, mask) if self.config.pooling == "mean" else output[:, 0]
        elif output.ndim != 2:
            raise PredictorError(f"output {self._output!r} of the encoder has shape {output.shape}, expected 2-D or 3-D")
        output = output.astype(np.float32, copy=False)
        if self.config.normalize:
            output = output / np.maximum(np.linalg.norm(output, axis=1, keepdims=True), 1e-12)
        return output


def _mean(tokens: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean of the token vectors that the mask keeps; zero where it keeps none."""
    weights = mask.astype(np.float32)
    total = np.matmul(weights[:, None, :], tokens.astype(np.float32, copy=False))[:, 0]
    mean: NDArray[np.float32] = total / np.maximum(weights.sum(axis=1, keepdims=True), 1)
    return mean


def _open_tokenizer(content: str, max_length: int) -> Any:
    tokenizers = require("tokenizers", extra="predict")
    try:
        tokenizer = tokenizers.Tokenizer.from_str(content)
    except Exception as error:  # the library raises bare Exception
        raise PredictorError(f"{TOKENIZER_FILE} is not a tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def open_session(model: Path | bytes, threads: int) -> Any:
    """Open a graph with onnxruntime on the CPU; 0 threads are all cores, and more than there are cores are too."""
    runtime = require("onnxruntime", extra="predict")
    options = runtime.SessionOptions()
    # It starts as many as it is told to, a million too.
    options.intra_op_num_threads = min(threads, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    # Threads that spin between runs take the cores from the tokenizer and the neighbour search.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return runtime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has one unrelated exception class per error code
        name = MODEL_FILE if isinstance(model, bytes) else model
        raise PredictorError(f"{name} is not a graph that onnxruntime can open: {error}") from error


def _input_types(session: Any) -> dict[str, Any]:
    """Numpy type of each input of the graph; refuses graphs that need more than text."""
    types = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
    inputs = {item.name: types.get(item.type) for item in session.get_inputs()}
    known = {"input_ids", "attention_mask", "token_type_ids"}
    if not {"input_ids", "attention_mask"} <= set(inputs) <= known or None in inputs.values():
        raise PredictorError(
            f"the encoder takes the inputs {', '.join(sorted(inputs))}; expected input_ids and "
            "attention_mask (and token_type_ids) of int64 or int32"
        )
    return inputs


def _fetch(name: str) -> Path:
    """Folder of a model on the Hugging Face hub, fetched into the hub's own cache."""
    missing = f"encoder {name!r} is neither a folder here nor"
    try:
        hub = require("huggingface_hub", extra="predict")
    except ImportError as error:
        raise PredictorError(f"{missing} can it be fetched: the package huggingface_hub is not installed") from error
    patterns = [MODEL_FILE, f"onnx/{MODEL_FILE}", "*onnx_data", TOKENIZER_FILE, "*.json", "*/config.json"]
    try:
        return Path(hub.snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # no network, no such name, no access: the hub has its own class for each
        raise PredictorError(f"{missing} could it be fetched from the Hugging Face hub: {error}") from error
