"""A sentence-transformers model of a few numbers, for the tests that need torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = ["one", "two", "three", "four", "five", "über", "漢字", "?", "the", "router"]


def word_tokenizer() -> Any:
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(special + WORDS)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=60, **names)


def tiny_encoder(
    folder: Path, kind: str = "bert", *, pooling: Any = "mean", dense: bool = False, normalize: bool = True
) -> Any:
    """A model with random weights, written to `folder` and read again."""
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    torch.manual_seed(0)
    size = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "pad_token_id": 1}
    size |= {"intermediate_size": 24, "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 2}
    if kind == "qwen2":
        size |= {"num_key_value_heads": 2}
    config = transformers.AutoConfig.for_model(kind, **size)
    if kind == "distilbert":
        config = transformers.DistilBertConfig(
            vocab_size=40, dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=64, pad_token_id=1
        )
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    transformer = Transformer(str(folder), max_seq_length=50)
    steps = [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling)]
    if dense:
        steps.append(Dense(steps[-1].get_embedding_dimension(), 7))
    if normalize:
        steps.append(Normalize())
    return SentenceTransformer(modules=steps, device="cpu")
