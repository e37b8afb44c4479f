"""The decoder: symbols out, one after the other, from any memory it may look at and any state it starts in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import InputError
from elman.nn.attention import Attention, Memory
from elman.nn.cross_entropy import linear_cross_entropy
from elman.nn.dropout import Dropout
from elman.nn.recurrent import Recurrent
from elman.nn.stepper import Stepper

States = Mapping[str, Tensor]
ALL = slice(None)

_LEAST = 1e-30  # a probability that has a logarithm


@dataclass(frozen=True)
class Carried:
    """Where a decoder stands, B rows with K hypotheses each; the hypotheses of a row look at one memory.

    state: by name, (L, B * K, H); fed: (B, K, E) the last readout; looked: (B, K, 2, S) the weights of the last step
    and the sum of all, None without attention.
    """

    memory: Memory | None
    state: dict[str, Tensor]
    fed: Tensor
    looked: Tensor | None

    def rows(self, rows: Tensor) -> Carried:
        """Some rows, with all their hypotheses."""
        width = self.fed.shape[1]
        flat = (rows[:, None] * width + torch.arange(width, device=rows.device)).flatten()
        state = {name: s[:, flat] for name, s in self.state.items()}
        memory = None if self.memory is None else self.memory.rows(rows)
        return Carried(memory, state, self.fed[rows], None if self.looked is None else self.looked[rows])

    def hypotheses(self, parents: Tensor) -> Carried:
        """The hypotheses (B, K') that go on: each by the number of the one it continues."""
        count, width = self.fed.shape[:2]
        if width == parents.shape[1] == 1:
            return self
        row = torch.arange(count, device=parents.device)[:, None]
        flat = (row * width + parents).flatten()
        state = {name: s[:, flat] for name, s in self.state.items()}
        looked = None if self.looked is None else self.looked[row, parents]
        return replace(self, state=state, fed=self.fed[row, parents], looked=looked)


class Decoder(nn.Module):
    """Scores of the next symbol, from those before it and from what attention reads in a memory.

    h_t = recurrent layers over [E y_(t-1), r_(t-1)];  c_t = attention of h_t in the memory;
    r_t = tanh(W [h_t, c_t] + b);  s_t = E r_t + b';  P(y_t = k) = exp(s_t[k]) / sum over j of exp(s_t[j]).

    E is the embedding matrix of the V symbols and the end mark, symbol V, which stands before the first symbol too.
    Input and output share it (Press and Wolf 2017). r_(t-1) is fed to the layers where `recurrent` reads 2 E features
    in place of E (input feeding, Luong, Pham and Manning 2015): the decoder then knows where it has looked, and learns
    step by step; without it a sequence that is known goes through the layers in one call.

    With `copying` a symbol may also be taken from where the decoder looks, g_t of the time (the pointer of See, Liu and
    Manning 2017): P(y_t = k) = (1 - g_t) P'(k) + g_t sum over the places s of k of a_ts, g_t = sigmoid(w . r_t + b);
    P' is the one above, a_t the attention. The scores then are ln P.

    What the memory is, and the first state, is nothing to the decoder: an encoder's outputs, an image's cells.

    Args:
        embedding: (V + 1, E).
        recurrent: the layers, one direction, reading E or 2 E features.
        attention: where to look; None: the state at the start is all there is.
        dropout: probability in [0, 1) on the readouts r; input_dropout: on the embedding.
        variational: drop the same features at every step of a row.
        copying: write symbols of the memory too, which `begin` is then given.
        smoothing: share of the loss in training that asks for all symbols alike (label smoothing, Szegedy et al. 2016).
        sampling: probability in [0, 1] with which the decoder reads in training what it would have written itself
            (scheduled sampling, Bengio et al. 2015), reached evenly in the first `sampling_steps` updates.

    >>> layers = Recurrent("gru", 8, 6)
    >>> decoder = Decoder(nn.Embedding(11, 4), layers, Attention("multiplicative", 6, 5, 6))
    >>> carried = decoder.begin(torch.zeros(2, 7, 5), torch.tensor([7, 3]))
    >>> scores, carried = decoder.step(torch.tensor([[10], [10]]), carried)
    >>> scores.shape
    torch.Size([2, 1, 11])
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        recurrent: Recurrent,
        attention: Attention | None = None,
        *,
        dropout: float = 0.0,
        variational: bool = False,
        input_dropout: float = 0.0,
        copying: bool = False,
        smoothing: float = 0.0,
        sampling: float = 0.0,
        sampling_steps: int = 1,
    ) -> None:
        super().__init__()
        size = embedding.embedding_dim
        if recurrent.input_size not in (size, 2 * size):
            raise InputError(
                f"Decoder: the layers read {recurrent.input_size} features, expected {size}, those of the embedding, "
                f"or {2 * size}, to be fed with the readout."
            )
        self.embedding, self.recurrent, self.attention = embedding, recurrent, attention
        self.end = embedding.num_embeddings - 1
        self.feeding = recurrent.input_size == 2 * size
        self.smoothing, self.sampling, self.sampling_steps = smoothing, sampling, sampling_steps
        self.updates: Tensor
        if sampling:
            self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.input_dropout = Dropout(input_dropout, variational)
        self.output_dropout = Dropout(dropout, variational)
        looked = 0 if attention is None else attention.memory_size
        self.readout = nn.Linear(recurrent.hidden_size + looked, size)
        self.bias = nn.Parameter(torch.zeros(self.end + 1))
        self.gate = nn.Linear(size, 1) if copying else None
        nn.init.normal_(embedding.weight, std=size**-0.5)

    def begin(
        self,
        memory: Tensor | None,
        lengths: Tensor,
        state: States | None = None,
        symbols: Tensor | None = None,
    ) -> Carried:
        """Before the first symbol. memory: (B, S, M), None without attention; lengths (B,); state: zeros when None;
        symbols: (B, S) of the memory, read where they may be copied."""
        batch, weight = len(lengths), self.embedding.weight
        read = None
        if self.attention is not None:
            assert memory is not None
            read = self.attention.read(memory, lengths)
            read = read if self.gate is None else replace(read, symbols=symbols)
        sizes, layers = self.recurrent.state_sizes, self.recurrent.num_layers
        start = {name: weight.new_zeros(layers, batch, size) for name, size in sizes.items()}
        looked = None if read is None else weight.new_zeros(batch, 1, 2, read.keys.shape[1])
        fed = weight.new_zeros(batch, 1, self.embedding.embedding_dim)
        return Carried(read, {**start, **(state or {})}, fed, looked)

    def step(
        self, symbols: Tensor, carried: Carried, layers: Stepper | None = None
    ) -> tuple[Tensor, Carried]:
        """Scores (B, K, V + 1) of what follows the last symbols (B, K) of all hypotheses, and where they then stand."""
        carried = self.advance(symbols, carried, layers)
        return self.scores_of(carried), carried

    def advance(self, symbols: Tensor, carried: Carried, layers: Stepper | None = None) -> Carried:
        """Where all hypotheses stand after their last symbols (B, K); layers: those of the decoder, with their weights
        packed once for many steps."""
        return self._advance(self.embedding(symbols), carried, layers)

    def forward(self, symbols: Tensor, lengths: Tensor, carried: Carried) -> tuple[Tensor, Tensor | None]:
        """Readouts (B, T, E) at every step and the attention (B, T, S) for symbols (B, T) that are known, `lengths`
        (B,) of each row; in training some of them are the decoder's own, by `sampling`."""
        x = self.input_dropout(self.embedding(symbols))
        rate = self._sampling_rate()
        if not (self.feeding or rate or (self.attention and self.attention.steered)):
            hidden, _ = self.recurrent(x, carried.state, lengths)
            readouts, weights = self._look(hidden, carried)
            return self.output_dropout(readouts), weights
        steps, looked = [], []
        for t in range(symbols.shape[1]):
            given = x[:, t : t + 1]
            if rate and t:
                with torch.no_grad():
                    own = self.scores_of(carried).argmax(2)
                drawn = torch.rand(len(x), 1, 1, device=x.device) < rate
                given = self.embedding(own).where(drawn, given)
            carried = self._advance(given, carried)
            steps.append(carried.fed)
            if carried.looked is not None:
                looked.append(carried.looked[:, :, 0])
        return self.output_dropout(torch.cat(steps, 1)), torch.cat(looked, 1) if looked else None

    def shifted(self, targets: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What is read and what is to be written at each step: the end mark and targets (B, T), the targets and the end
        mark; (B, T + 1) both, the second -1 in the padding."""
        edge = targets.new_full((len(targets), 1), self.end)
        steps = torch.arange(targets.shape[1] + 1, device=targets.device)
        ends = lengths[:, None]
        wanted = torch.cat([targets, edge], 1).where(steps < ends, -1).where(steps != ends, self.end)
        return torch.cat([edge, targets], 1), wanted

    def learn(self, carried: Carried, targets: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, int]:
        """Sum of the losses over targets (B, T), `lengths` (B,) of each row, and their ends; right first guesses; how
        many targets these are.

        The loss is -ln P(target) in nats; in training -(1 - e) ln P(target) - e mean over k of ln P(k), e = smoothing.
        """
        inputs, wanted = self.shifted(targets, lengths)
        readouts, weights = self(inputs, lengths + 1, carried)
        known = wanted >= 0
        if self.gate is not None:
            logs, wanted = self.scores(readouts, weights, carried.memory)[known], wanted[known]
            smoothing = self.smoothing if self.training else 0.0
            nats = F.cross_entropy(logs, wanted, reduction="sum", label_smoothing=smoothing)
            return nats, (logs.argmax(1) == wanted).sum(), len(wanted)
        x, wanted = readouts[known], wanted[known]
        weight = self.embedding.weight
        nats, right = linear_cross_entropy(x, weight, self.bias, wanted)
        if self.training and self.smoothing:  # how far the target is ahead of the mean over all symbols
            ahead = (x * (weight[wanted] - weight.mean(0))).sum(1) + self.bias[wanted] - self.bias.mean()
            nats = nats + self.smoothing * ahead.sum()
        return nats, right, len(wanted)

    def scores(self, readouts: Tensor, weights: Tensor | None = None, memory: Memory | None = None) -> Tensor:
        """Scores (B, K, V + 1) of readouts (B, K, E); weights: (B, K, S) of the attention, read where it copies."""
        scores = F.linear(readouts, self.embedding.weight, self.bias)
        if self.gate is None or weights is None or memory is None or memory.symbols is None:
            return scores
        share = torch.sigmoid(self.gate(readouts))
        places = memory.symbols[:, None].expand(weights.shape)
        chosen = scores.softmax(2) * (1 - share)
        copied = (weights * share).to(chosen.dtype)  # autocast has them in different ones
        return chosen.scatter_add(2, places, copied).clamp_min(_LEAST).log()

    def scores_of(self, carried: Carried, rows: slice = ALL) -> Tensor:
        """Scores (B, K, V + 1) of what follows, of all rows or some of them."""
        weights = None if carried.looked is None else carried.looked[rows, :, 0]
        memory = None if carried.memory is None or self.gate is None else carried.memory.rows(rows)
        return self.scores(carried.fed[rows], weights, memory)

    def _sampling_rate(self) -> float:
        """How likely the decoder reads its own symbol in this update; each call in training is one."""
        if not self.training or not self.sampling:
            return 0.0
        self.updates += 1
        return self.sampling * min(1.0, int(self.updates) / self.sampling_steps)

    def _advance(self, x: Tensor, carried: Carried, layers: Stepper | None = None) -> Carried:
        """One step of every hypothesis; x: (B, K, E)."""
        if self.feeding:
            x = torch.cat([x, carried.fed], 2)
        batch, width = x.shape[:2]
        hidden, state = (layers or self.recurrent)(x.flatten(0, 1)[:, None], carried.state)
        fed, weights = self._look(hidden.view(batch, width, -1), carried)
        looked = None
        if weights is not None and carried.looked is not None:
            looked = torch.stack([weights, carried.looked[:, :, 1] + weights], 2)
        return replace(carried, state=state, fed=fed, looked=looked)

    def _look(self, hidden: Tensor, carried: Carried) -> tuple[Tensor, Tensor | None]:
        """Readouts (B, K, E) of outputs (B, K, H) of the layers, and the weights of the attention."""
        weights = None
        if self.attention is not None and carried.memory is not None:
            context, weights = self.attention(hidden, carried.memory, carried.looked)
            hidden = torch.cat([hidden, context], 2)
        return torch.tanh(self.readout(hidden)), weights
