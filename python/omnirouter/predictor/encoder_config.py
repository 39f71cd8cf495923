"""How an encoder folder is to be used: pooling, normalisation, longest input."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omnirouter.errors import PredictorError
from omnirouter.json_text import parse_json

__all__ = ["CONFIG_FILE", "EncoderConfig"]

CONFIG_FILE = "encoder.json"
POOLINGS = ("mean", "cls")
DEFAULT_MAX_LENGTH = 512


@dataclass(frozen=True)
class EncoderConfig:
    """Settings that turn the output of a graph into one vector per text.

    Attributes
    ----------
    pooling : "mean" or "cls"
        How token vectors become one vector: their mean over the attention mask, or the first of them. Not
        used where the graph itself returns one vector per text.
    normalize : bool
        Whether vectors are scaled to unit length.
    max_length : int
        Tokens of a text that are looked at, special tokens included; the rest is cut off.
    prefix : str
        Put before every text, for encoders that were trained with such a prompt.
    """

    pooling: str = "mean"
    normalize: bool = False
    max_length: int = DEFAULT_MAX_LENGTH
    prefix: str = ""

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise PredictorError(f"pooling {self.pooling!r} is not supported; expected one of {', '.join(POOLINGS)}")
        if type(self.normalize) is not bool:
            raise PredictorError(f"normalize is {self.normalize!r}, expected true or false")
        if type(self.max_length) is not int or self.max_length < 1:
            raise PredictorError(f"max_length is {self.max_length!r}, expected a positive whole number")
        if type(self.prefix) is not str:
            raise PredictorError(f"prefix is {self.prefix!r}, expected a string")

    @classmethod
    def read(cls, folder: Path) -> EncoderConfig:
        """Read the settings of a folder: `encoder.json`, or the files of sentence-transformers, or defaults.

        The layout of sentence-transformers is `modules.json` (which steps there are), the `config.json` of
        its pooling step, and the longest input in `sentence_bert_config.json` or `tokenizer_config.json`.

        Raises
        ------
        PredictorError
            When a file is not JSON or asks for a step or a pooling that is not supported.
        """
        own = folder / CONFIG_FILE
        if own.is_file():
            stored = _read_object(own)
            unknown = sorted(set(stored) - set(cls.__dataclass_fields__))
            if unknown:
                raise PredictorError(f"{own} has the unknown setting {unknown[0]!r}")
            return cls(**stored)
        modules = _modules(folder)
        return cls(
            pooling=_pooling(folder / modules.get("Pooling", "1_Pooling") / "config.json"),
            normalize="Normalize" in modules,
            max_length=_max_length(folder),
        )

    def write(self, folder: Path) -> None:
        """Write the settings as `encoder.json`."""
        (folder / CONFIG_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def _read_object(path: Path) -> dict[str, Any]:
    content = _read_json(path)
    if not isinstance(content, dict):
        raise PredictorError(f"{path} holds {type(content).__name__}, expected a JSON object")
    return content


def _read_json(path: Path) -> Any:
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PredictorError(f"{path} is not readable JSON: {error}") from error


def _modules(folder: Path) -> dict[str, str]:
    """Steps of a sentence-transformers model: name of the step to its folder."""
    path = folder / "modules.json"
    if not path.is_file():
        return {}
    try:
        steps = {str(step["type"]).rsplit(".", 1)[-1]: str(step["path"]) for step in _read_json(path)}
    except (TypeError, KeyError) as error:
        raise PredictorError(f"{path} is not a list of steps with a type and a path") from error
    unknown = sorted(set(steps) - {"Transformer", "Pooling", "Normalize"})
    if unknown:
        raise PredictorError(
            f"{path} has the step {unknown[0]!r}, which is not supported; expected Transformer, Pooling, Normalize"
        )
    return steps


def _pooling(path: Path) -> str:
    if not path.is_file():
        return "mean"
    stored = _read_object(path)
    # Newer versions name the mode, older ones have one flag for each.
    modes = (
        [stored["pooling_mode"]]
        if "pooling_mode" in stored
        else [
            key.removeprefix("pooling_mode_") for key, value in stored.items() if key.startswith("pooling_mode_") and value
        ]
    )
    known = {"mean_tokens": "mean", "cls_token": "cls", "mean": "mean", "cls": "cls"}
    if len(modes) != 1 or modes[0] not in known:
        raise PredictorError(f"{path} asks for the pooling {modes}, expected mean_tokens or cls_token alone")
    return known[modes[0]]


def _max_length(folder: Path) -> int:
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        path = folder / name
        length = _read_object(path).get(key) if path.is_file() else None
        # transformers writes 10^30 where a tokenizer knows no limit
        if isinstance(length, int | float) and 0 < length < 1e6:
            return int(length)
    return DEFAULT_MAX_LENGTH
