// Products with the weights as torch stores them, for so few rows that packing would cost more than it saves.
#pragma once

#include "gemm/pack.hpp"

namespace elman::ELMAN_ISA {

/// The first n lanes (fewer than a vector) from p, zero elsewhere; reads nothing behind them.
template <class S>
ELMAN_INLINE Vec<S> load_some(const S* p, Index n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(S) == 4)
        return (Vec<S>)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
    else
        return (Vec<S>)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p);
#endif
    Vec<S> v{};
    for (Index i = 0; i < n; ++i) v[i] = p[i];
    return v;
}

/// Lane i of the result is the sum of the lanes of v[i].
template <class S, Index Distance = lanes<S> / 2>
ELMAN_INLINE Vec<S> sum_lanes(Vec<S>* v) {
    constexpr auto all = std::make_index_sequence<lanes<S>>{};
#pragma GCC unroll 16
    for (Index i = 0; i < Distance; ++i) {
        const Vec<S> a = v[i], b = v[i + Distance];
        v[i] = exchange<S, Distance, false>(a, b, all) + exchange<S, Distance, true>(a, b, all);
    }
    if constexpr (Distance > 1) return sum_lanes<S, Distance / 2>(v);
    return v[0];
}

/// Lane i: row i of w (rows `depth` apart) times x, for a whole vector of rows.
template <class S>
Vec<S> dot(const S* w, const S* x, Index depth) {
    constexpr Index n = lanes<S>;
    Vec<S> acc[n] = {};
    Index k = 0;
    for (; k + n <= depth; k += n) {
        const Vec<S> b = load(x + k);
#pragma GCC unroll 16
        for (Index i = 0; i < n;
             i += n < 4 ? 2 : 4) {  // four rows from one pointer: few enough pointers to stay in registers
            const S* row = w + i * depth + k;
            acc[i] += b * load(row);
            acc[i + 1] += b * load(row + depth);
            if constexpr (n > 2) {
                acc[i + 2] += b * load(row + 2 * depth);
                acc[i + 3] += b * load(row + 3 * depth);
            }
        }
    }
    if (k < depth) {
        const Vec<S> b = load_some(x + k, depth - k);
#pragma GCC unroll 16
        for (Index i = 0; i < n; ++i) acc[i] += b * load_some(w + i * depth + k, depth - k);
    }
    return sum_lanes<S>(acc);
}

/// The same for the first `rows` rows, fewer than a vector; zero for the lanes beyond.
template <class S>
Vec<S> dot_some(const S* w, Index rows, const S* x, Index depth) {
    Vec<S> sums{};
    for (Index i = 0; i < rows; ++i) {
        Vec<S> acc{};
        Index k = 0;
        for (; k + lanes<S> <= depth; k += lanes<S>) acc += load(x + k) * load(w + i * depth + k);
        if (k < depth) acc += load_some(x + k, depth - k) * load_some(w + i * depth + k, depth - k);
        S sum = 0;
        for (Index j = 0; j < lanes<S>; ++j) sum += acc[j];
        sums[i] = sum;
    }
    return sums;
}

/// Units [begin, end) of one gate for one row: y[u] = init[u] + w[u] x. w (units, depth); init and y are padded.
template <class S>
void multiply_direct(const S* w, Index units, Index depth, const S* x, const S* init, S* y, Index begin, Index end) {
    for (Index u = begin; u < end; u += lanes<S>) {
        const Index rows = units - u < lanes<S> ? units - u : lanes<S>;
        const S* from = w + u * depth;
        store(y + u, load(init + u) + (rows == lanes<S> ? dot(from, x, depth) : dot_some(from, rows, x, depth)));
    }
}

}  // namespace elman::ELMAN_ISA
