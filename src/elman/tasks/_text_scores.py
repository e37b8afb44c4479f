"""How near texts come to what they should be: chrF and BLEU by sacrebleu, exact matches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elman.data.extras import extra


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
