// The one inner kernel: a tile of C, kept in registers over the whole depth. Every product of the core is made of it.
#pragma once

#include "simd/vec.hpp"

namespace elman::ELMAN_ISA {

/// C[m, n] = init[m, n] + sum over segments s and k < depth of A[m, s, k] * panel[s * depth + k, n], where n counts
/// vectors. All addresses belong to the caller; c may be init, nothing else may overlap c.
/// W: what the weights in the panel are stored as (see load_weight).
template <class S, class W = S>
struct Product {
    const S* a;  ///< A[m, s, k] at a + m * a_row + s * a_segment + k (packed tiles: [s * depth + k][m])
    Index a_row;
    Index segments;
    Index depth;
    Index a_segment;
    const W* panel;  ///< [segments * depth][width][lane]
    const S* init;   ///< [m, n] at init + m * init_row + n * init_vec
    Index init_row;
    Index init_vec;
    S* c;  ///< [m, n] at c + m * c_row + n * c_vec
    Index c_row;
    Index c_vec;
    const W* ahead = nullptr;  ///< what the next products read, fetched meanwhile: ahead_bytes for each k; or null
};

/// Bytes fetched ahead for each k of a tile: half a line, so that a panel of n vectors takes 2 n tiles.
inline constexpr Index ahead_bytes = 32;

/// Widest panel, in vectors, of a plain product; a gate panel is as wide as the cell has gates.
inline constexpr int panel_width = registers == 32 ? 4 : 3;

/// Rows of the tile for a panel of `width` vectors: accumulators, one vector of each panel column, one broadcast.
constexpr int tile_rows(int width) {
    constexpr int many[] = {14, 12, 8, 6}, few[] = {8, 6, 4, 3};
    return (registers == 32 ? many : few)[width - 1];
}

/// Rows of a packed tile: one number for all widths, since A is packed once for panels of several widths.
inline constexpr int packed_rows = tile_rows(panel_width);

template <class S, int M, int N, bool Packed, class W>
void tile(const Product<S, W>& p) {
    Vec<S> acc[M][N];
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 16
        for (int n = 0; n < N; ++n) acc[m][n] = load(p.init + m * p.init_row + n * p.init_vec);
    const W* panel = p.panel;
    const char* ahead = reinterpret_cast<const char*>(p.ahead ? p.ahead : p.panel);
    const Index onward = p.ahead ? ahead_bytes : 0;
    for (Index s = 0; s < p.segments; ++s) {
        const S* a = p.a + s * p.a_segment;
        const Index row = Packed ? 1 : p.a_row;
#pragma GCC unroll 2
        for (Index k = 0; k < p.depth; ++k) {
            Vec<S> w[N];
#pragma GCC unroll 16
            for (int n = 0; n < N; ++n) w[n] = load_weight<S>(panel + n * lanes<S>);
            __builtin_prefetch(ahead, 0, 2);
            ahead += onward;
#pragma GCC unroll 16
            for (int m = 0; m < M; ++m) {
                const Vec<S> b = broadcast(a[m * row]);
#pragma GCC unroll 16
                for (int n = 0; n < N; ++n) acc[m][n] += b * w[n];
            }
            panel += N * lanes<S>;
            a += Packed ? M : 1;
        }
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 16
        for (int n = 0; n < N; ++n) store(p.c + m * p.c_row + n * p.c_vec, acc[m][n]);
}

/// One row and a matrix with rows `b_row` apart: four partial sums over k hide the latency of the multiply-add. Its own
/// order of summation, so the caller takes it for a batch of one only, never for a leftover row.
template <class S, int N, class W>
void single(const Product<S, W>& p, Index b_row) {
    constexpr int parts = 4;
    Vec<S> acc[parts][N] = {};
    const W* b = p.panel;
    for (Index s = 0; s < p.segments; ++s) {
        const S* a = p.a + s * p.a_segment;
        Index k = 0;
        for (; k + parts <= p.depth; k += parts)
#pragma GCC unroll 16
            for (int u = 0; u < parts; ++u, b += b_row)
#pragma GCC unroll 16
                for (int n = 0; n < N; ++n) acc[u][n] += broadcast(a[k + u]) * load_weight<S>(b + n * lanes<S>);
        for (; k < p.depth; ++k, b += b_row)
#pragma GCC unroll 16
            for (int n = 0; n < N; ++n) acc[0][n] += broadcast(a[k]) * load_weight<S>(b + n * lanes<S>);
    }
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n)
        store(p.c + n * p.c_vec, load(p.init + n * p.init_vec) + ((acc[0][n] + acc[1][n]) + (acc[2][n] + acc[3][n])));
}

/// `single` for a panel of `width` vectors.
template <class S, class W>
void multiply_single(const Product<S, W>& p, int width, Index b_row) {
    switch (width) {
        case 1: return single<S, 1>(p, b_row);
        case 2: return single<S, 2>(p, b_row);
        case 3: return single<S, 3>(p, b_row);
        default: return single<S, 4>(p, b_row);
    }
}

template <class S, int N, bool Packed, int M = tile_rows(N), class W>
ELMAN_INLINE void tile_of(const Product<S, W>& p, int rows) {
    if constexpr (M > 1)
        if (rows < M) return tile_of<S, N, Packed, M - 1>(p, rows);
    tile<S, M, N, Packed>(p);
}

template <class S, int N, class W>
void multiply_rows(Product<S, W> p, Index rows) {
    const Index tiles = (rows + tile_rows(N) - 1) / tile_rows(N);
    for (Index t = 0; t < tiles; ++t) {
        const Index here = rows * (t + 1) / tiles - rows * t / tiles;
        tile_of<S, N, false>(p, static_cast<int>(here));
        p.a += here * p.a_row;
        p.init += here * p.init_row;
        p.c += here * p.c_row;
    }
}

/// The product for `rows` rows (any number) and a panel of `width` vectors.
template <class S, class W = S>
void multiply(const Product<S, W>& p, int width, Index rows) {
    switch (width) {
        case 1: return multiply_rows<S, 1>(p, rows);
        case 2: return multiply_rows<S, 2>(p, rows);
        case 3: return multiply_rows<S, 3>(p, rows);
        default: return multiply_rows<S, 4>(p, rows);
    }
}

/// The product for one packed tile of `rows` <= packed_rows rows, [depth][rows].
template <class S>
void multiply_packed(const Product<S>& p, int width, int rows) {
    switch (width) {
        case 1: return tile_of<S, 1, true, packed_rows>(p, rows);
        case 2: return tile_of<S, 2, true, packed_rows>(p, rows);
        case 3: return tile_of<S, 3, true, packed_rows>(p, rows);
        default:
            if constexpr (panel_width == 4) return tile_of<S, 4, true, packed_rows>(p, rows);
    }
}

}  // namespace elman::ELMAN_ISA
