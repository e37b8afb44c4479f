"""Tags of a sentence chosen together: what the scores of words and of neighbours make most likely, in NumPy.

The field is `elman.nn.crf.Crf`, which learns these scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Legal = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]

NEVER = -1e30
"""The score of what cannot be: finite, so that a difference of two is a number."""
_LOST = 1e-280  # a sum above it has lost no term that a float64 would show


@dataclass(frozen=True)
class Decoded:
    """What is made of a batch: the n best tags of each row (B, n, T), ln of their probabilities (B, n), and the
    probability of each tag of each word (B, T, K); zero behind a row's length."""

    paths: Integers
    logs: Floats
    confidences: Floats


@dataclass(frozen=True)
class Chain:
    """The probability of a sequence of K tags, given the scores (emissions) of each tag at each word.

    score(y) = begin[y_0] + sum over t of emissions[t, y_t] + sum over t > 0 of follow[y_{t-1}, y_t] + end[y_{T-1}],
    P(y) = exp(score(y) - log Z), Z = sum over all y of exp(score(y)).

    Source: forward-backward and Viterbi as in Rabiner 1989, in logarithms; the n best as in Seshadri and Sundberg 1994,
    who keep n paths where Viterbi keeps one.

    Args:
        begin, follow (from, to), end: (K,), (K, K), (K,), NEVER for what is not legal.

    Shapes: emissions (B, T, K), lengths (B,) from 0 to T; what lies behind a row's length has no effect. The empty
        sequence has score and log Z 0.

    >>> chain = Chain.of(2, {}, None)
    >>> paths, scores = chain.best(np.array([[[0.0, 1.0], [2.0, 0.0]]]), np.array([2]), 2)
    >>> paths.tolist(), scores.tolist()
    ([[[1, 0], [0, 0]]], [[3.0, 2.0]])
    """

    begin: Floats
    follow: Floats
    end: Floats

    @classmethod
    def of(cls, tags: int, learned: Mapping[str, NDArray[np.floating]], legal: Legal | None) -> Chain:
        """learned: begin, follow and end by name, zeros where they are not; legal: what may be, all when None."""
        parts = []
        for place, (name, shape) in enumerate(
            {"begin": (tags,), "follow": (tags, tags), "end": (tags,)}.items()
        ):
            scores = np.asarray(learned.get(name, np.zeros(shape)), np.float64)
            parts.append(scores if legal is None else np.where(legal[place], scores, NEVER))
        return cls(*parts)

    @property
    def ties(self) -> bool:
        """Whether the tag of a word depends on its neighbours'."""
        return bool(self.begin.any() or self.follow.any() or self.end.any())

    def decode(self, emissions: Floats, lengths: Integers, n: int = 1) -> Decoded:
        """The n most likely sequences of tags for each row, and how sure each tag is."""
        if n == 1 and not self.ties:  # the most likely tag of each word by itself
            inside = np.arange(emissions.shape[1]) < lengths[:, None]
            logs = np.where(inside[:, :, None], emissions - _log_sum(emissions, 2)[:, :, None], 0)
            paths = np.where(inside, logs.argmax(2), 0)[:, None]
            return Decoded(paths, logs.max(2).sum(1, keepdims=True), np.exp(logs) * inside[:, :, None])
        paths, scores = self.best(emissions, lengths, n)
        alphas = self._forward(emissions, lengths)
        logs = scores - self._partition(alphas, lengths)[:, None]
        return Decoded(paths, logs, self._shares(emissions, lengths, alphas))

    def nats(self, emissions: Floats, tags: Integers, lengths: Integers) -> float:
        """-ln P of the tags (B, T) summed over the batch; over all that a tag of -1, which is not known, could be."""
        apart = (np.arange(emissions.shape[2]) != tags[:, :, None]) & (tags >= 0)[:, :, None]
        known = self.log_partition(np.where(apart, NEVER, emissions), lengths)
        return float((self.log_partition(emissions, lengths) - known).sum())

    def log_partition(self, emissions: Floats, lengths: Integers) -> Floats:
        """log Z (B,)."""
        if not self.ties:
            inside = np.arange(emissions.shape[1]) < lengths[:, None]
            return np.asarray(np.where(inside, _log_sum(emissions, 2), 0).sum(1))
        return self._partition(self._forward(emissions, lengths), lengths)

    def marginals(self, emissions: Floats, lengths: Integers) -> Floats:
        """P(tag of word t is k), (B, T, K): forward-backward. Zero behind a row's length."""
        return self._shares(emissions, lengths, self._forward(emissions, lengths))

    def best(self, emissions: Floats, lengths: Integers, n: int = 1) -> tuple[Integers, Floats]:
        """The n paths of highest score, best first: tags (B, n, T), 0 behind a row's length, and scores (B, n).

        Where a row has fewer than n legal paths, the scores of the rest are below NEVER / 2.
        """
        rows, steps, tags = emissions.shape
        found = np.full((rows, tags, n), NEVER)  # the n best that end in each tag
        found[:, :, 0] = self.begin + emissions[:, 0]
        stay = np.arange(tags * n).reshape(tags, n)
        following = np.repeat(self.follow, n, 0)
        sources: list[Integers] = []
        for t in range(1, steps):
            top, source = _top(found.reshape(rows, tags * n, 1) + following, n)
            going = (t < lengths)[:, None, None]
            found = np.where(going, top.transpose(0, 2, 1) + emissions[:, t, :, None], found)
            sources.append(np.where(going, source.transpose(0, 2, 1), stay))
        scores, place = _top((found + self.end[:, None]).reshape(rows, tags * n), n)
        path = [place]
        for source in reversed(sources):
            path.append(np.take_along_axis(source.reshape(rows, tags * n), path[-1], 1))
        inside = np.arange(steps) < lengths[:, None]
        paths = np.where(inside[:, None], np.stack(path[::-1], 2) // n, 0)
        empty = np.where(np.arange(n) == 0, 0, NEVER)  # one path of no words
        return paths, np.where(lengths[:, None] > 0, scores, empty)

    def _forward(self, emissions: Floats, lengths: Integers) -> list[Floats]:
        """Logarithms of the sums over all beginnings that end in each tag, (B, K) for each step."""
        passed = _passing(self.follow)
        alphas = [self.begin + emissions[:, 0]]
        for t in range(1, emissions.shape[1]):
            step = passed(alphas[-1]) + emissions[:, t]
            alphas.append(np.where((t < lengths)[:, None], step, alphas[-1]))
        return alphas

    def _partition(self, alphas: list[Floats], lengths: Integers) -> Floats:
        return np.where(lengths > 0, _log_sum(alphas[-1] + self.end, 1), 0)

    def _shares(self, emissions: Floats, lengths: Integers, alphas: list[Floats]) -> Floats:
        passed = _passing(self.follow.T)
        betas = [np.broadcast_to(self.end, alphas[-1].shape)]
        for t in range(emissions.shape[1] - 1, 0, -1):
            before = passed(emissions[:, t] + betas[-1])
            betas.append(np.where((t < lengths)[:, None], before, self.end))
        logs = np.stack([a + b for a, b in zip(alphas, reversed(betas), strict=True)], 1)
        inside = np.arange(emissions.shape[1]) < lengths[:, None]
        return np.where(inside[:, :, None], np.exp(logs - _log_sum(logs, 2)[:, :, None]), 0)


def _passing(follow: Floats) -> Callable[[Floats], Floats]:
    """From logs (B, K) to ln sum over j of exp(logs[j] + follow[j, k]), (B, K).

    It is a product of exponentials, of each row by itself, so that none depends on the others; where that would lose a
    term, the sum as it stands.
    """
    highest_follow = follow.max()
    factors = np.exp(follow - highest_follow)

    def passed(logs: Floats) -> Floats:
        highest = logs.max(1, keepdims=True)
        sums = (np.exp(logs - highest)[:, None] @ factors)[:, 0]
        found = np.log(np.maximum(sums, _LOST)) + highest + highest_follow
        lost = (sums <= _LOST).any(1)
        if lost.any():
            found[lost] = _log_sum(logs[lost, :, None] + follow, 1)
        return np.asarray(found)

    return passed


def _log_sum(logs: Floats, axis: int) -> Floats:
    highest = logs.max(axis, keepdims=True)
    return np.asarray(np.log(np.exp(logs - highest).sum(axis)) + highest.squeeze(axis))


def _top(values: Floats, n: int) -> tuple[Floats, Integers]:
    """The n largest along axis 1, in order, and their places."""
    if n == 1:
        places = values.argmax(1)[:, None]
    else:
        found = np.sort(np.argpartition(-values, n - 1, 1)[:, :n], 1)
        order = np.argsort(-np.take_along_axis(values, found, 1), 1, kind="stable")
        places = np.take_along_axis(found, order, 1)
    return np.take_along_axis(values, places, 1), places
