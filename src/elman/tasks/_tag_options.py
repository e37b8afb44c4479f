"""The options of the tagger, by what they are about, and what a run remembers beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from elman.data.conll import FIELDS
from elman.data.spans import SCHEMES
from elman.options import option


@dataclass(kw_only=True)
class Answering:
    """What is told of a sentence."""

    n_best: int = option(1, "how many of the most likely sequences of tags", minimum=1)
    show_spans: bool = option(False, "show the spans of a text as <words:KIND>, not the tag of each word")
    plain: bool = option(False, "files hold plain text, one sentence a line, not words in columns")


@dataclass(kw_only=True)
class ColumnOptions:
    """Where words and tags stand in a file."""

    format: Literal["auto", "conllu", "conll"] = option(
        "auto",
        "CoNLL-U, or CoNLL of any number of columns; auto: by the suffix .conllu",
        choices=("auto", "conllu", "conll"),
    )
    field: Literal["upos", "xpos", "feats", "deprel"] = option(
        "upos", "of CoNLL-U, the column that is learned", choices=tuple(FIELDS)
    )
    word_column: int = option(1, "of CoNLL, the column of the words, from 1", minimum=1)
    tag_column: int | None = option(None, "of CoNLL, the column of the tags [the last]", minimum=1)
    comment: str | None = option(
        None, "how lines begin that are no words [# in CoNLL-U, ## in CoNLL]", metavar="TEXT"
    )
    scheme: Literal["auto", "none", "bio", "bioes"] = option(
        "auto",
        "how tags mark spans; auto: as they look; none: tags as they are",
        choices=("auto", "none", *SCHEMES),
    )
    repair: bool = option(False, "read tags that break their scheme as the evaluation of CoNLL does")


@dataclass(kw_only=True)
class WordOptions:
    """How words are read."""

    bidirectional: bool = option(True, "read each sentence from its end too")
    embedding: int = option(100, "size of a word's learned vector", minimum=1)
    lowercase: bool = option(False, "the case of a word counts in its characters only")
    min_count: int = option(1, "only words that occur this often have a vector", minimum=1)
    word_dropout: float = option(
        0.25,
        "a word seen n times is read as unknown with probability this / (this + n) in training",
        minimum=0,
    )
    characters: bool = option(True, "spell words, character by character in both directions")
    character_embedding: int = option(32, "size of a character's learned vector", minimum=1)
    character_hidden_size: int = option(64, "units of each direction that reads characters", minimum=1)
    jamo: bool = option(False, "take Korean syllables apart into jamo where words are spelled")
    pairs: int = option(0, "size of a learned vector for each pair of neighbours; 0: none", minimum=0)
    input_dropout: float = option(
        0.0, "probability of dropping a feature of what the first layer reads", minimum=0, maximum=0.99
    )
    crf: bool = option(False, "choose the tags of a sentence together: a conditional random field")


def stored_problem(content: Any, *, pairs: bool) -> str | None:
    """What is wrong with the content of task.json, or None."""
    if not isinstance(content, dict) or not {"tags", "scheme", "width", "split", "pairs"} <= content.keys():
        return "expected tags, scheme, width, split and pairs"
    tags, found = content["tags"], content["pairs"]
    if not isinstance(tags, list) or len(tags) < 2 or not all(isinstance(tag, str) and tag for tag in tags):
        return "tags are not a list of texts"
    if len(set(tags)) < len(tags):
        return "a tag is there twice"
    if content["scheme"] not in (None, *SCHEMES):
        return f"scheme is {content['scheme']!r}"
    if not isinstance(content["split"], bool) or type(content["width"]) is not int or content["width"] < 2:
        return f"split is {content['split']!r}, width is {content['width']!r}"
    if (found is not None) != pairs:
        return "pairs do not fit the options"
    if found is not None and not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(word, str) for word in pair)
        for pair in found
    ):
        return "pairs are not pairs of words"
    return None
