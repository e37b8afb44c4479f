// Weights and columns in the layout the tile reads: panels [k][vector][lane], zeros in lanes that are not there.
#pragma once

#include <cstddef>
#include <utility>

#include "gemm/tile.hpp"

namespace elman::ELMAN_ISA {

/// A matrix of `units` columns for each of `gates` gates, cut into panels along its columns.
/// gates > 1: panel p holds the vector p of every gate, [depth][gate][lane].
/// gates == 1: panels of up to panel_width vectors, as even as possible.
/// Without data it only says how the columns are cut.
template <class S>
struct Panels {
    S* data = nullptr;
    Index depth = 0;
    Index units = 0;
    Index vectors = 0;  ///< of one gate
    int gates = 1;
    Index unpacked = 0;  ///< row stride, if data is a plain matrix of whole vectors instead
    Index inner = 0;     ///< depth of the product; more than `depth` in pair panels (gemm/pairs.hpp)

    template <class Arena>
    static Panels make(Index depth, Index units, int gates, Arena& arena, bool filled = true) {
        Panels p{nullptr, depth, units, padded<S>(units) / lanes<S>, gates, 0, depth};
        if (!filled) return p;
        p.data =
            static_cast<S*>(arena.take(static_cast<std::size_t>(depth * p.vectors * gates * lanes<S>) * sizeof(S)));
        return p;
    }
    /// Values of the widest panel.
    Index panel_size() const { return depth * (gates > 1 ? gates : panel_width) * lanes<S>; }
    /// Panel p alone, in other memory.
    Panels only(Index p, S* memory) const {
        Panels one = *this;
        one.data = memory - first(p) * gates * depth * lanes<S>;
        return one;
    }
    /// The same memory with fewer rows.
    Panels cut(Index rows) const { return {data, rows, units, vectors, gates, 0, rows}; }
    /// Panel p alone in plain form, in other memory.
    Panels plain(Index p, S* memory) const { return cut(inner).only(p, memory); }
    Index count() const { return gates > 1 ? vectors : (vectors + panel_width - 1) / panel_width; }
    /// First vector (of each gate) in panel p; first(count()) is the end.
    Index first(Index p) const { return gates > 1 ? p : vectors * p / count(); }
    int width(Index p) const { return gates > 1 ? gates : static_cast<int>(first(p + 1) - first(p)); }
    S* panel(Index p) const { return data + first(p) * lanes<S> * (unpacked ? 1 : gates * depth); }
    /// Part `slice` of panel p for Product::ahead, null where a slice before was the last.
    const S* slice(Index p, Index number) const {
        constexpr Index values = ahead_bytes / static_cast<Index>(sizeof(S));
        return number * values < width(p) * lanes<S> ? panel(p) + number * depth * values : nullptr;
    }
    /// Distance of two rows of panel p.
    Index row(Index p) const { return unpacked ? unpacked : width(p) * lanes<S>; }
};

template <class S, Index Distance, bool Second, std::size_t... L>
ELMAN_INLINE Vec<S> exchange(Vec<S> a, Vec<S> b, std::index_sequence<L...>) {
    constexpr int n = static_cast<int>(lanes<S>), d = static_cast<int>(Distance);
    return __builtin_shufflevector(
        a, b, (Second ? ((int(L) & d) ? n + int(L) : int(L) + d) : ((int(L) & d) ? n + int(L) - d : int(L)))...);
}

/// Transposes the lanes x lanes block in v: each round exchanges the off-diagonal blocks of half the size.
template <class S, Index Distance = lanes<S> / 2>
ELMAN_INLINE void transpose(Vec<S>* v) {
    constexpr auto all = std::make_index_sequence<lanes<S>>{};
#pragma GCC unroll 16
    for (Index i = 0; i < lanes<S>; ++i)
        if (!(i & Distance)) {
            const Vec<S> a = v[i], b = v[i + Distance];
            v[i] = exchange<S, Distance, false>(a, b, all);
            v[i + Distance] = exchange<S, Distance, true>(a, b, all);
        }
    if constexpr (Distance > 1) transpose<S, Distance / 2>(v);
}

/// One vector column of a panel from the rows of a matrix: to[k * to_row + lane] = from[lane * from_row + k] for
/// k < depth, zero for lane >= rows.
template <class S>
void transpose_column(const S* from, Index from_row, Index rows, Index depth, S* to, Index to_row) {
    constexpr Index n = lanes<S>;
    Index k = 0;
    if (rows >= n)
        for (; k + n <= depth; k += n) {
            Vec<S> block[n];
#pragma GCC unroll 16
            for (Index i = 0; i < n; ++i) block[i] = load(from + i * from_row + k);
            transpose<S>(block);
#pragma GCC unroll 16
            for (Index i = 0; i < n; ++i) store(to + (k + i) * to_row, block[i]);
        }
    for (; k < depth; ++k)
        for (Index i = 0; i < n; ++i) to[k * to_row + i] = i < rows ? from[i * from_row + k] : S(0);
}

/// One panel of W^T: W is (gates * units, depth), rows of gate g start at g_of[g] * units.
template <class S>
void pack_transposed(const Panels<S>& to, Index p, const S* weight, Index units, const int* g_of) {
    const int width = to.width(p);
    for (int n = 0; n < width; ++n) {
        const Index unit = (to.gates > 1 ? p : to.first(p) + n) * lanes<S>;
        const Index gate = g_of[to.gates > 1 ? n : 0];
        const Index rows = units - unit < lanes<S> ? units - unit : lanes<S>;
        transpose_column(weight + (gate * units + unit) * to.depth, to.depth, rows, to.depth,
                         to.panel(p) + n * lanes<S>, width * lanes<S>);
    }
}

/// `rows` rows of one panel, from row `k` on, copied from rows of a matrix with `columns` columns.
template <class S>
void pack_rows(const Panels<S>& to, Index p, Index k, const S* from, Index from_row, Index rows, Index columns) {
    const int width = to.width(p);
    const Index start = to.first(p) * lanes<S>, all = width * lanes<S>;
    const Index some = columns - start < all ? columns - start : all;
    S* out = to.panel(p) + k * all;
    for (Index i = 0; i < rows; ++i, out += all) {
        const S* in = from + i * from_row + start;
        if (some == all) {
            for (int n = 0; n < width; ++n) store(out + n * lanes<S>, load(in + n * lanes<S>));
        } else {
            for (Index j = 0; j < some; ++j) out[j] = in[j];
            for (Index j = some; j < all; ++j) out[j] = S(0);
        }
    }
}

}  // namespace elman::ELMAN_ISA
