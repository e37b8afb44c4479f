// exp-based sigmoid and tanh. Bounds, tested over the whole range with infinities, NaN and denormals:
//   float and double, every instruction set: sigmoid and tanh <= 3 ulp, denormal results included
// Method: exp(y) = 2^n exp(r), n = round(y / ln 2), |r| <= ln(2) / 2, exp(r) - 1 by a polynomial.
#pragma once

#include "simd/vec.hpp"

namespace elman::ELMAN_ISA {

template <class S>
struct ExpTable;

template <>
struct ExpTable<float> {
    static constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer kept in the low bits
    static constexpr float log2e = 1.44269504088896341f;
    static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    static constexpr int bias = 127, mantissa = 23;
    static constexpr float lowest = -104.0f, tanh_limit = 10.0f;
    // exp(r) = 1 + r + r^2 q(r); minimax for the error relative to r, 2^-26.2
    static constexpr float q[] = {0.500000006192919f, 0.1666654300382439f, 0.0416662820533314f, 0.008366582367879526f,
                                  0.0013946448003973849f};
};

template <>
struct ExpTable<double> {
    static constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double log2e = 1.44269504088896340736;
    static constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
    static constexpr int bias = 1023, mantissa = 52;
    static constexpr double lowest = -746.0, tanh_limit = 20.0;
    static constexpr double q[] = {1.0 / 2,       1.0 / 6,        1.0 / 24,        1.0 / 120,
                                   1.0 / 720,     1.0 / 5040,     1.0 / 40320,     1.0 / 362880,
                                   1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
};

/// exp(y) = (1 + p) 2^n, n an integer, for y <= 0 not below ExpTable::lowest.
template <class S>
struct SplitExp {
    Vec<S> p;
    Bits<S> n;
    Vec<S> whole;  ///< n
};

template <class S>
ELMAN_INLINE SplitExp<S> split_exp(Vec<S> y) {
    using E = ExpTable<S>;
    const Vec<S> shifted = y * E::log2e + E::magic;
    const Vec<S> whole = shifted - E::magic;
    const Vec<S> r = y - whole * E::ln2_high - whole * E::ln2_low;
    const Vec<S> square = r * r;
    constexpr int degree = sizeof(E::q) / sizeof(S) - 1;
    Vec<S> q = degree % 2 ? E::q[degree - 1] + E::q[degree] * r : broadcast<S>(E::q[degree]);
#pragma GCC unroll 16
    for (int k = degree - degree % 2 - 2; k >= 0; k -= 2) q = (E::q[k] + E::q[k + 1] * r) + square * q;
    return {r + square * q, (Bits<S>)shifted - (Bits<S>)broadcast<S>(E::magic), whole};
}

/// 2^n for n that give a normal number.
template <class S>
ELMAN_INLINE Vec<S> power_of_two(Bits<S> n) {
    return (Vec<S>)((n + ExpTable<S>::bias) << ExpTable<S>::mantissa);
}

/// p 2^n, denormal results included; n = whole is also given as the value it was rounded to.
template <class S>
ELMAN_INLINE Vec<S> scale(Vec<S> p, Bits<S> n, [[maybe_unused]] Vec<S> whole) {
#if defined(__AVX512F__)
    if constexpr (sizeof(S) == 4)
        return (Vec<S>)_mm512_scalef_ps((__m512)p, (__m512)whole);
    else
        return (Vec<S>)_mm512_scalef_pd((__m512d)p, (__m512d)whole);
#endif
    const Bits<S> half = n >> 1;
    return p * power_of_two<S>(half) * power_of_two<S>(n - half);
}

/// 1 / d for d in [1, 2].
template <class S>
ELMAN_INLINE Vec<S> reciprocal(Vec<S> d) {
#if defined(__AVX512F__)
    if constexpr (sizeof(S) == 4) {  // 14 bits and one Newton step: at most 1 ulp, a third of a division's time
        const Vec<S> y = (Vec<S>)_mm512_rcp14_ps((__m512)d);
        return y + y * (1.0f - d * y);
    }
#endif
    return S(1) / d;
}

/// p / d for d in [1, 2].
template <class S>
ELMAN_INLINE Vec<S> quotient(Vec<S> p, Vec<S> d) {
#if defined(__AVX512F__)
    if constexpr (sizeof(S) == 4) return p * reciprocal<S>(d);
#endif
    return p / d;
}

/// The larger of x and a bound; NaN stays NaN.
template <class S>
ELMAN_INLINE Vec<S> at_least(Vec<S> x, S bound) {
#if defined(__AVX512F__)
    if constexpr (sizeof(S) == 4) return (Vec<S>)_mm512_max_ps(_mm512_set1_ps(bound), (__m512)x);
#endif
    return x < bound ? broadcast<S>(bound) : x;
}

template <class S>
ELMAN_INLINE Bits<S> sign_bit() {
    return (Bits<S>)broadcast<S>(S(-0.0));
}

/// 1 / (1 + exp(-x)).
template <class S>
ELMAN_INLINE Vec<S> sigmoid(Vec<S> x) {
    const Vec<S> y = (Vec<S>)((Bits<S>)x | sign_bit<S>());
    const SplitExp<S> e = split_exp<S>(at_least<S>(y, ExpTable<S>::lowest));
    const Vec<S> small = scale<S>(S(1) + e.p, e.n, e.whole);
    const Vec<S> big = reciprocal<S>(S(1) + small);
    return x < S(0) ? small * big : big;
}

/// tanh(x) = m / (2 + m) with the sign of x, m = exp(-2|x|) - 1.
template <class S>
ELMAN_INLINE Vec<S> tanh(Vec<S> x) {
    const Vec<S> y = S(2) * (Vec<S>)((Bits<S>)x | sign_bit<S>());
    const SplitExp<S> e = split_exp<S>(at_least<S>(y, -2 * ExpTable<S>::tanh_limit));
    const Vec<S> power = power_of_two<S>(e.n);
    const Vec<S> m = power * e.p + (power - S(1));
    const Vec<S> size = quotient<S>(m, S(2) + m);
    return (Vec<S>)(((Bits<S>)size & ~sign_bit<S>()) | ((Bits<S>)x & sign_bit<S>()));
}

/// max(x, 0); NaN stays NaN.
template <class S>
ELMAN_INLINE Vec<S> relu(Vec<S> x) {
    return x < S(0) ? Vec<S>{} : x;
}

}  // namespace elman::ELMAN_ISA
