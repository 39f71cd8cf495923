"""From a sentence-transformers model to an encoder folder: one ONNX graph with pooling and normalisation inside."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter import __version__
from omnirouter.checks import as_path, maybe_callable
from omnirouter.errors import PredictorError
from omnirouter.extras import require
from omnirouter.folder import check_replaceable, write_folder
from omnirouter.predictor.base import Progress
from omnirouter.predictor.encoder import MODEL_FILE, TOKENIZER_FILE, Encoder
from omnirouter.predictor.encoder_config import DEFAULT_MAX_LENGTH, EncoderConfig

__all__ = ["EXPORT_FILE", "ExportReport", "export_encoder"]

EXPORT_FILE = "export.json"
FORMAT = 1
TOLERANCE = 1e-4
STEPS = ("Transformer", "Pooling", "Normalize", "Dense")
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OPSET = 17  # read by every onnxruntime that is supported
LARGEST = 2**31 - 2**20  # bytes of a graph in one file

_WORDS = "The quick router sends every question to the model that answers it best, and pays as little as it can. "
SAMPLES = (
    "What is 2 + 2?",
    _WORDS,
    "",
    " ",
    "a",
    "  surrounded by space\n\n\tand tabs  ",
    "Über das Wetter in Köln: 漢字 🙂 и кириллица, العربية, café e\u0301",
    "def f(x):\n    return [y ** 2 for y in x if y != '\\n']",
    "UPPER and lower, 3.14159, e-mail@example.org; <tag> & [MASK] </s>",
    _WORDS * 2,
    _WORDS * 7,
    _WORDS * 40,
)
"""Texts that are compared at export: no word to more tokens than most encoders take."""


@dataclass(frozen=True)
class ExportReport:
    """What an export made and how close it is to its origin.

    Attributes
    ----------
    folder : Path
        The encoder folder.
    dim : int
        Length of a vector.
    max_length : int
        Tokens of a text that are looked at.
    size : int
        Bytes of the graph.
    difference : float
        Largest distance of a component of the float graph's vectors from those of sentence-transformers.
    cosine : float or None
        Least cosine of an int8 vector with the float one; None without int8.
    """

    folder: Path
    dim: int
    max_length: int
    size: int
    difference: float
    cosine: float | None

    def to_dict(self) -> dict[str, Any]:
        """Fields that JSON can hold."""
        return {**vars(self), "folder": str(self.folder)}

    def in_words(self) -> str:
        """One line for a person."""
        close = f"float vectors within {self.difference:.1e} of sentence-transformers"
        if self.cosine is not None:
            close += f", int8 vectors at a cosine of at least {self.cosine:.4f} with them"
        size = f"{self.size / 1e6:.1f} MB"
        return f"{self.folder}: {self.dim} numbers per text, {self.max_length} tokens at most, {size}; {close}"


def export_encoder(
    model: str | Path, out: str | Path, *, int8: bool = False, progress: Progress | None = None
) -> ExportReport:
    """Write a sentence-transformers model as a folder that `Encoder.load` reads without torch.

    Pooling, dense layers and normalisation become part of the graph, whose batch and length are free. The
    vectors of texts of many lengths are compared with those of sentence-transformers before anything is put
    at `out`.

    Parameters
    ----------
    model : str or Path
        A folder, or a name on the Hugging Face hub such as ``"sentence-transformers/all-MiniLM-L6-v2"``.
        Its steps may be a transformer, pooling (any mode), dense layers and normalisation.
    out : str or Path
        Folder to write: new, empty, or an earlier export, which is replaced.
    int8 : bool, default False
        Quantise weights to 8 bits, and activations as they come (onnxruntime's dynamic quantisation): a
        quarter of the size and about twice as fast; a text's vector then depends a little on the texts that
        share its batch.
    progress : callable, optional
        Called as ``progress(done, total)`` after each stage.

    Returns
    -------
    ExportReport

    Raises
    ------
    PredictorError
        When there is no such model, it has other steps, no fast tokenizer or more than 2 GB, or the graph's
        vectors are not those of sentence-transformers to 1e-4 (times the largest component where that is
        above 1). Nothing is left at `out`.
    FileExistsError
        When something else is at `out`.
    MissingExtraError
        When the extra `train` is not installed.

    Examples
    --------
    >>> from omnirouter import export_encoder
    >>> report = export_encoder("sentence-transformers/all-MiniLM-L6-v2", "minilm")  # doctest: +SKIP
    >>> report.dim, report.max_length  # doctest: +SKIP
    (384, 256)
    """
    as_path("model", model)
    out = as_path("out", out)
    maybe_callable("progress", progress)
    check_replaceable(out, EXPORT_FILE)
    encoder = load_model(model)
    return write_encoder(encoder, out, origin=str(model), int8=int8, progress=progress)


def write_encoder(
    encoder: Any, out: str | Path, *, origin: str, int8: bool = False, progress: Progress | None = None
) -> ExportReport:
    """Write a `SentenceTransformer` that is already in memory; see `export_encoder`."""
    _check_steps(encoder, origin)
    stages = 5 if int8 else 3
    reports: list[ExportReport] = []

    def passed(stage: int) -> None:
        if progress is not None:
            progress(stage, stages)

    def write(folder: Path) -> dict[str, Any]:
        passed(1)
        config = EncoderConfig(max_length=_limit_length(encoder), prefix=_prefix(encoder))
        config.write(folder)
        (folder / TOKENIZER_FILE).write_text(encoder.tokenizer.backend_tokenizer.to_str(), encoding="utf-8")
        graph = folder / MODEL_FILE
        _trace(encoder, graph)
        passed(2)
        texts = [text for text in SAMPLES if encoder.tokenizer(text)["input_ids"]]
        vectors = Encoder.load(folder).encode(texts, batch_size=5)
        difference = _check_equal(vectors, encoder, texts, origin)
        passed(3)
        cosine = None
        if int8:
            _quantise(graph)
            passed(4)
            cosine = _least_cosine(Encoder.load(folder).encode(texts, batch_size=5), vectors)
            passed(5)
        reports.append(
            ExportReport(Path(out), vectors.shape[1], config.max_length, graph.stat().st_size, difference, cosine)
        )
        return {"format": FORMAT, "omnirouter": __version__, "model": origin, "int8": int8, **_measured(reports[0])}

    with _quiet():
        write_folder(out, EXPORT_FILE, write)
    return reports[0]


def _measured(report: ExportReport) -> dict[str, Any]:
    return {name: value for name, value in report.to_dict().items() if name not in ("folder", "size")}


def load_model(model: str | Path) -> Any:
    """The model on a CPU, in float32."""
    local = Path(model).is_dir()
    if not local and (isinstance(model, Path) or str(model).startswith((".", "/", "~")) or str(model).count("/") > 1):
        raise PredictorError(f"model {str(model)!r} is no folder here")
    library = require("sentence_transformers", extra="train")
    try:
        with _quiet():
            encoder = library.SentenceTransformer(str(model), device="cpu", local_files_only=local)
    except Exception as error:  # the libraries below have no common class
        where = "could not be read" if local else "is no folder here and could not be fetched from the Hugging Face hub"
        raise PredictorError(f"model {str(model)!r} {where}: {str(error).strip().splitlines()[0]}") from error
    return encoder.float().eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and warnings of the libraries below; ours are enough."""
    logs = require("transformers.utils.logging", extra="train")
    level, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # onnxruntime's quantisation warns through the root logger
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        logs.set_verbosity(level)
        if bars:
            logs.enable_progress_bar()


def _check_steps(encoder: Any, origin: str) -> None:
    steps = [type(step).__name__ for step in encoder]
    unknown = next((step for step in steps if step not in STEPS), None)
    if unknown is not None or not steps or steps[0] != "Transformer" or "Pooling" not in steps:
        raise PredictorError(
            f"model {origin!r} has the steps {', '.join(steps) or 'none'}; expected Transformer and Pooling, then "
            "Normalize and Dense in any order"
        )
    if not getattr(encoder.tokenizer, "is_fast", False):
        kind = type(encoder.tokenizer).__name__
        raise PredictorError(f"model {origin!r} has the tokenizer {kind}, which has no fast form ({TOKENIZER_FILE})")
    unknown = next((name for name in encoder.tokenizer.model_input_names if name not in INPUTS), None)
    if unknown is not None:
        raise PredictorError(f"model {origin!r} takes the input {unknown!r}; expected {', '.join(INPUTS)} at most")
    size = 4 * sum(weights.numel() for weights in encoder.parameters())
    if size > LARGEST:
        raise PredictorError(f"model {origin!r} has {size / 1e9:.1f} GB of weights, expected at most 2 GB")


def _limit_length(encoder: Any) -> int:
    """Longest input in tokens; an encoder that knows none is limited to the default."""
    length = encoder.max_seq_length
    if length is None or not 0 < length < 1e6:  # transformers writes 10^30 where a tokenizer knows no limit
        encoder.max_seq_length = length = DEFAULT_MAX_LENGTH
    return int(length)


def _prefix(encoder: Any) -> str:
    """The prompt that sentence-transformers puts before every text unless told otherwise."""
    name = encoder.default_prompt_name
    return "" if name is None else str(encoder.prompts[name])


def _trace(encoder: Any, graph: Path) -> None:
    torch = require("torch", extra="train")
    names = [name for name in INPUTS if name in encoder.tokenizer.model_input_names]

    module: Any = torch.nn.Module

    class Whole(module):  # type: ignore[misc]
        """All steps as one function of the tokenizer's tensors."""

        def __init__(self) -> None:
            super().__init__()
            self.steps = encoder

        def forward(self, *tensors: Any) -> Any:
            features = dict(zip(names, tensors, strict=True))
            for step in self.steps:
                features = step(features)
            return features["sentence_embedding"]

    # Two lengths, so that the mask of the traced batch has zeros.
    batch = encoder.tokenizer([SAMPLES[0], SAMPLES[1]], padding=True, return_tensors="pt")
    axes = {name: {0: "batch", 1: "length"} for name in names} | {"sentence_embedding": {0: "batch"}}
    with torch.no_grad():
        torch.onnx.export(
            Whole().eval(),  # export puts the module back into the mode it had: training means dropout
            tuple(batch[name] for name in names),
            str(graph),
            input_names=names,
            output_names=["sentence_embedding"],
            dynamic_axes=axes,
            opset_version=OPSET,
            # The exporter by tracing: needs no package but onnx, and its graphs were 1.1 times as fast.
            dynamo=False,
        )


def _check_equal(vectors: NDArray[np.float32], encoder: Any, texts: Sequence[str], origin: str) -> float:
    expected = encoder.encode(list(texts), batch_size=4, show_progress_bar=False, convert_to_numpy=True)
    difference = float(np.abs(vectors - expected).max())
    tolerance = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not difference <= tolerance:
        worst = texts[int(np.abs(vectors - expected).max(axis=1).argmax())]
        raise PredictorError(
            f"the graph of {origin!r} differs from sentence-transformers by {difference:.2g} on {worst[:40]!r}, "
            f"expected at most {tolerance:.2g}; nothing was written"
        )
    return difference


def _quantise(graph: Path) -> None:
    """Replace the graph by its int8 form."""
    quantization = require("onnxruntime.quantization", extra="predict")
    small = graph.with_name("int8.onnx")
    # One scale per channel: the least cosine with the float vectors is .89 with one per matrix. A bit less of range:
    # processors without VNNI add pairs of products in 16 bits.
    quantization.quantize_dynamic(
        graph, small, weight_type=quantization.QuantType.QInt8, per_channel=True, reduce_range=True
    )
    small.replace(graph)


def _least_cosine(vectors: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(others, axis=1)
    return float(np.min(np.einsum("id,id->i", vectors, others) / np.maximum(lengths, 1e-12)))
