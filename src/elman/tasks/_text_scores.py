"""How near texts come to what they should be: chrF and BLEU by sacrebleu, exact matches; and what retrieval reaches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elman.data.extras import extra

_ROWS = 256  # sources compared at once


def text_scores(found: Sequence[str], wanted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Share of texts that are one of their references, chrF and BLEU (0 to 100) of the corpus.

    >>> text_scores(["a b c d e"], [["a b c d e", "f"]])
    {'exact_match': 1.0, 'chrf': 100.0, 'bleu': 100.0}
    """
    exact = np.mean([text in refs for text, refs in zip(found, wanted, strict=True)])
    scores = {"exact_match": float(exact)}
    width = max(map(len, wanted))
    streams = [[refs[k] if k < len(refs) else None for refs in wanted] for k in range(width)]
    for name, metric in _metrics().items():
        scores[name] = round(float(metric.corpus_score(list(found), streams).score), 4)
    return scores


def signatures() -> list[str]:
    """What chrF and BLEU are exactly: the settings and the version of sacrebleu, which make scores comparable."""
    told = []
    for name, metric in _metrics().items():
        metric.corpus_score(["a", "b"], [["a", "b"], ["c", None]])  # a source may have several targets
        told.append(f"{name}: {metric.get_signature()}")
    return told


def _metrics() -> dict[str, Any]:
    metrics = extra("sacrebleu", "chrF and BLEU").metrics
    return {"chrf": metrics.CHRF(), "bleu": metrics.BLEU()}


def nearest(sources: Sequence[str], asked: Sequence[str]) -> list[int]:
    """For each text asked the number of the source that is most like it: cosine of the tf-idf of character n-grams of
    length 1 to 4, the first of several.

    >>> nearest(["a river", "the sea"], ["the river", "see the sea"])
    [0, 1]
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    reader = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True, dtype=np.float32)
    known = reader.fit_transform(sources).T.tocsc()
    found: list[int] = []
    for start in range(0, len(asked), _ROWS):
        likeness = (reader.transform(asked[start : start + _ROWS]) @ known).toarray()
        found += likeness.argmax(1).tolist()
    return found
