"""Texts beside what was said: word and character error rates, and what is taken for what. By jiwer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from elman.data.extras import extra


def text_scores(said: Sequence[str], heard: Sequence[str]) -> dict[str, float]:
    """word_error_rate and character_error_rate: words (characters, blanks among them) that must be replaced, taken out
    or put in to make what was said of what was heard, over all that was said; sentence_accuracy: share of equal texts.

    >>> text_scores(["one two", "three"], ["one", "three"])["sentence_accuracy"]
    0.5
    """
    jiwer = extra("jiwer", "word error rates", "audio")
    return {
        "word_error_rate": float(jiwer.wer(list(said), list(heard))),
        "character_error_rate": float(jiwer.cer(list(said), list(heard))),
        "sentence_accuracy": sum(a == b for a, b in zip(said, heard, strict=True)) / len(said),
    }


def word_errors(said: str, heard: str) -> int:
    """Words that must be replaced, taken out or put in."""
    found = extra("jiwer", "word error rates", "audio").process_words(said, heard)
    return int(found.substitutions + found.deletions + found.insertions)


def confusions(said: Sequence[str], heard: Sequence[str]) -> list[tuple[str, str, int]]:
    """What was said, what was heard in its place ("" for nothing), and how often; the most frequent first."""
    found = extra("jiwer", "word error rates", "audio").process_words(list(said), list(heard))
    counts: Counter[tuple[str, str]] = Counter()
    for words, others, chunks in zip(found.references, found.hypotheses, found.alignments, strict=True):
        for chunk in chunks:
            ours = words[chunk.ref_start_idx : chunk.ref_end_idx]
            theirs = others[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type != "equal":
                longest = max(len(ours), len(theirs))
                pairs = zip(
                    [*ours, *[""] * (longest - len(ours))],
                    [*theirs, *[""] * (longest - len(theirs))],
                    strict=True,
                )
                counts.update(pairs)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(ours, theirs, count) for (ours, theirs), count in ranked]
