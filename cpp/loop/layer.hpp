// What forward and backward share: the sizes of one direction, the trace of its steps, and the split of the work.
#pragma once

#include "cells/gru.hpp"
#include "cells/gru_reset_before.hpp"
#include "cells/lstm.hpp"
#include "cells/rnn.hpp"
#include "gemm/dot.hpp"
#include "gemm/pack.hpp"
#include "gemm/pairs.hpp"
#include "loop/plan.hpp"
#include "loop/team.hpp"

namespace elman::ELMAN_ISA {

/// Part `me` of `parts` of [0, n).
struct Range {
    Index begin, end;
};

ELMAN_INLINE Range share(Index n, int me, int parts) {
    return {n * me / parts, n * (me + 1) / parts};
}

template <class S>
S* take(Arena& arena, Index n) {
    return static_cast<S*>(arena.take(static_cast<std::size_t>(n) * sizeof(S)));
}

template <class S>
ELMAN_INLINE void copy(S* to, const S* from, Index n) {
    __builtin_memcpy(to, from, static_cast<std::size_t>(n) * sizeof(S));
}

/// n values, whole vectors, few of them.
template <class S>
ELMAN_INLINE void copy_vectors(S* to, const S* from, Index n) {
    for (Index j = 0; j < n; j += lanes<S>) store(to + j, load(from + j));
}

/// Asks for n rows of `values` values before they are read, from memory or from the core that wrote them.
template <class S>
ELMAN_INLINE void fetch(const S* from, Index row, Index n, Index values) {
    constexpr Index line = 64 / sizeof(S);
    for (Index r = 0; r < n; ++r)
        for (Index j = 0; j < values; j += line) __builtin_prefetch(from + r * row + j, 0, 2);
}

template <class S>
ELMAN_INLINE void clear(S* to, Index n) {
    __builtin_memset(to, 0, static_cast<std::size_t>(n) * sizeof(S));
}

template <class S>
ELMAN_INLINE void add(S* __restrict to, const S* __restrict from, Index n) {
    for (Index j = 0; j < n; ++j) to[j] += from[j];
}

/// Sizes of a layer; every row of the trace is `*_row` values apart.
template <class C>
struct Sizes {
    using S = typename C::S;
    Index batch, input, hidden, output;
    Index step;  ///< padded hidden size: distance of the slots in a row
    Index slot_row, hidden_row, output_row;
    bool projected;

    static Sizes of(const Call& call) {
        const Index step = padded<S>(call.hidden);
        return {call.batch,
                call.input,
                call.hidden,
                call.output,
                step,
                row_stride<S>(C::slots * step),
                row_stride<S>(step),
                row_stride<S>(padded<S>(call.output)),
                call.parameters[0].w_hr != nullptr};
    }
    /// A second vector of H values per step: the unprojected h, or the reset state.
    bool has_aux() const { return projected || C::two_products; }
};

/// What the slot holds before any product: the biases of all products that are added to it.
template <class C>
void fill_bias(const Sizes<C>& z, const Parameters& w, int slot, typename C::S* bias) {
    using S = typename C::S;
    clear(bias, z.step);
    const auto plus = [&](const void* from, int gate) {
        if (from) add(bias, static_cast<const S*>(from) + gate * z.hidden, z.hidden);
    };
    if (slot < C::x_gates) plus(w.b_ih, C::x_gate[slot]);
    if (slot >= C::h_first && slot < C::h_first + C::h_gates) plus(w.b_hh, C::h_gate[slot - C::h_first]);
    if (C::two_products && slot == 0) plus(w.b_hh, C::last_gate[0]);
}

/// What forward leaves for backward, one row for each real step (number `offset[step] + rank`); h and c are preceded
/// by `batch` rows of initial state. In inference it is a window that starts at step `from`, preceded by the state
/// before that step.
template <class C>
struct Trace {
    using S = typename C::S;
    S *slots, *h, *c, *aux;
    const Plan* plan;
    Sizes<C> size;
    Index from;

    static Index bytes(const Sizes<C>& z, Index rows) {
        const Index per_row = z.slot_row + z.output_row + (C::has_cell + z.has_aux()) * z.hidden_row;
        const Index initial = z.batch * (z.output_row + C::has_cell * z.hidden_row);
        return (rows * per_row + initial) * static_cast<Index>(sizeof(S)) + 256;
    }

    static Trace in(void* memory, const Sizes<C>& z, Index rows, const Plan& plan) {
        Trace t{static_cast<S*>(memory), nullptr, nullptr, nullptr, &plan, z, 0};
        t.h = t.slots + rows * z.slot_row;
        t.c = t.h + (z.batch + rows) * z.output_row;
        t.aux = t.c + (C::has_cell ? (z.batch + rows) * z.hidden_row : 0);
        return t;
    }

    /// Of a direction, in the call's reserve; room for every step of every row, so that it does not depend on lengths.
    static void* reserved(const Call& call, const Sizes<C>& z, int direction) {
        return static_cast<char*>(call.reserve) + direction * reserve_bytes(call, z);
    }
    static Index reserve_bytes(const Call& call, const Sizes<C>& z) {
        return (bytes(z, call.steps * call.batch) + 63) / 64 * 64;
    }

    Index row(Index s) const { return plan->offset[s] - plan->offset[from]; }
    S* slots_at(Index s) const { return slots + row(s) * size.slot_row; }
    S* aux_at(Index s) const { return aux + row(s) * size.hidden_row; }
    /// State after step s; s == from - 1: the state before the window.
    S* h_at(Index s) const { return s < from ? h : h + (size.batch + row(s)) * size.output_row; }
    S* c_at(Index s) const { return s < from ? c : c + (size.batch + row(s)) * size.hidden_row; }
};

/// One direction of a call.
struct Direction {
    const Call* call;
    const Plan* plan;
    int number;

    const Parameters& parameters() const { return call->parameters[number]; }
    Index time(Index s, Index rank) const { return number ? plan->length[rank] - 1 - s : s; }
    /// Offset of (step, rank) in an array with the given strides.
    Index at(Index s, Index rank, Index step_stride, Index row_stride) const {
        return time(s, rank) * step_stride + plan->order[rank] * row_stride;
    }
};

/// True if the real steps, in their order, are equally far apart in an array of these strides: then *first is moved to
/// the first one and *row set to their distance.
template <class S>
bool evenly_spaced(const Direction& d, Index step_stride, Index row_stride, const S** first, Index* row) {
    const Index steps = d.plan->steps, batch = d.call->batch;
    if (!d.plan->even || !steps || !batch) return false;
    const Index along = d.number ? -step_stride : step_stride;
    if (batch > 1 && steps > 1 && along != batch * row_stride) return false;
    *first += d.at(0, 0, step_stride, row_stride);
    *row = batch > 1 ? row_stride : along;
    return true;
}

/// How a team splits a step. By rows: groups of rows go to the threads in turn, and no thread waits for another.
/// By units: each thread computes its panels for all rows and meets the others after each product.
struct Split {
    Team* team;
    int me;
    bool by_units;
    Index batch, groups;

    static Split of(Team& team, int me, Index batch, int rows_of_tile, bool prefers_units) {
        const Index parts = team.size;
        const bool by_units = parts > 1 && (prefers_units || meets(batch, parts));
        Index groups = (batch + rows_of_tile - 1) / rows_of_tile;
        if (!by_units) groups = (groups + parts - 1) / parts * parts;
        return {&team, me, by_units, batch, groups};
    }
    /// Whether so many threads would split so few rows by units.
    static bool meets(Index batch, Index parts) { return parts > 1 && batch < 8 * parts; }
    Range panels(Index n) const { return by_units ? share(n, me, team->size) : Range{0, n}; }
    /// Calls run(first, count) for each of this thread's groups of rows among the first `active`.
    template <class F>
    ELMAN_INLINE void rows(Index active, F run) const {
        const int first = by_units ? 0 : me, stride = by_units ? 1 : team->size;
        for (Index g = first; g < groups; g += stride) {
            const Index begin = batch * g / groups, end = batch * (g + 1) / groups;
            const Index stop = end < active ? end : active;
            if (stop > begin) run(begin, stop - begin);
        }
    }
    void meet() const {
        if (by_units) team->meet();
    }
};

/// Whether the products of a call take bfloat16 operands: asked for, a unit for it, and rows enough to fill it.
template <class S>
bool takes_pairs(const Call& call) {
    return sizeof(S) == 4 && call.narrow && call.batch >= pair_tile_rows && pairs_usable();
}

/// Room for the weights of a product, as plain or pair panels.
template <class S>
Panels<S> make_panels(bool pairs, Index segments, Index depth, Index units, int gates, Arena& arena, bool filled) {
    Panels<S> p = Panels<S>::make(pairs ? pair_rows(segments, depth) : segments * depth, units, gates, arena, filled);
    p.inner = segments * depth;
    return p;
}

/// Whether threads should split a step by units though they could split it by rows: where the weights of all units do
/// not fit into one core's cache, but those of a part might; and only if meeting after every step costs little.
inline bool prefers_units(const Call& call, int threads, Index weight_bytes) {
    return threads > 1 && !Split::meets(call.batch, threads) && weight_bytes > cache_bytes() && meeting_is_cheap();
}

/// Units [begin, end) of a plain panel or a gate panel.
template <class S>
Range units_of(const Panels<S>& panels, Index p) {
    return {panels.first(p) * lanes<S>, panels.first(p + 1) * lanes<S>};
}

/// Calls run(panel, next panel, whether it is the first, slice, first rank, count) for a thread's panels of the weights
/// `w` and its groups of rows. Every other step goes through the panels backwards, so that it begins with those that
/// the step before left in the cache. Slices count the groups of a panel.
template <class S, class F>
ELMAN_INLINE void each_panel(const Split& split, const Panels<S>& w, Index step, Index active, F run) {
    const Range panels = split.panels(w.count());
    const Index last = panels.end - 1;
    for (Index q = panels.begin; q < panels.end; ++q) {
        const bool back = step & 1;
        const Index p = back ? last - (q - panels.begin) : q;
        const Index next = q == last ? p : back ? p - 1 : p + 1;
        Index slice = 0;
        split.rows(active, [&](Index i, Index n) { run(p, next, q == panels.begin, slice++, i, n); });
    }
}

/// Steps of a chunk: as many as `rows` rows of the batch make, at least one.
ELMAN_INLINE Index chunk_steps(Index rows, Index batch) {
    return batch && rows > batch ? rows / batch : 1;
}

/// Some steps [from, to) and the number of real steps of all rows in them.
struct Chunk {
    Index from, to, rows;

    static Chunk of(const Plan& plan, Index from, Index to) { return {from, to, plan.offset[to] - plan.offset[from]}; }
};

/// Calls run(step, first rank, count, first row) for the real steps `rows` of a chunk.
template <class F>
ELMAN_INLINE void each_step(const Plan& plan, const Chunk& chunk, Range rows, F run) {
    for (Index s = chunk.from; s < chunk.to; ++s) {
        const Index base = plan.offset[s] - plan.offset[chunk.from];
        const Index begin = rows.begin > base ? rows.begin - base : 0;
        const Index end = rows.end - base < plan.active[s] ? rows.end - base : plan.active[s];
        if (end > begin) run(s, begin, end - begin, base + begin);
    }
}

}  // namespace elman::ELMAN_ISA
