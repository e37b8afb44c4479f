// The product of bfloat16 operands with float32 sums, on the matrix unit (AMX) of processors that have it.
#pragma once

#include "gemm/pack.hpp"

#if defined(__AVX512F__) && defined(__linux__) && __has_include(<amxbf16intrin.h>)
#define ELMAN_PAIRS
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace elman::ELMAN_ISA {

/// Pair panels: a panel whose float lanes hold two bfloat16 weights, of depths 2 k and 2 k + 1; each segment is rounded
/// up to whole tiles of the unit, with zeros.
inline constexpr Index pair_depth = 32;

constexpr Index pair_rows(Index segments, Index depth) {
    return segments * ((depth + pair_depth - 1) / pair_depth * pair_depth) / 2;
}

/// Rows of one product: two tiles of the unit would need no more panels, and one fits every batch better.
inline constexpr int pair_tile_rows = 16;

#if defined(ELMAN_PAIRS)

/// Whether the processor has the unit and the system lets this process use it.
inline bool pairs_usable() {
    static const bool usable = [] {
        constexpr long request_permission = 0x1023, tile_data = 18;
        unsigned a, b, c, d;
        asm("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
        const bool tiles = d >> 22 & d >> 24 & 1;
        asm("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(1));
        return tiles && (a >> 5 & 1) && syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
    }();
    return usable;
}

#define ELMAN_AMX __attribute__((target("amx-tile,amx-bf16,avx512bf16")))

/// GCC does not know which memory the unit's instructions read and write: what was stored is in memory from here on,
/// and what is read is read anew.
ELMAN_INLINE void written() {
    asm volatile("" ::: "memory");
}

/// The calling thread's use of the unit: its tiles are set up here, and left at the end as they were found. Another
/// library may keep its own setting from call to call; what is in tiles belongs to nobody across a call.
class PairUnit {
public:
    ELMAN_AMX explicit PairUnit(bool used) : used_(used) {
        if (!used) return;
        _tile_storeconfig(before_);
        alignas(64) unsigned char setting[64] = {1};
        for (int t = 0; t < 8; ++t) setting[16 + 2 * t] = 64, setting[48 + t] = 16;
        written();
        _tile_loadconfig(setting);
    }
    ELMAN_AMX ~PairUnit() {
        if (!used_) return;
        written();
        _tile_loadconfig(before_);  // all zeros, where there was none: that releases the unit
    }
    PairUnit(const PairUnit&) = delete;
    PairUnit& operator=(const PairUnit&) = delete;

private:
    bool used_;
    alignas(64) unsigned char before_[64] = {};
};

/// Two rows of a panel side by side, rounded to bfloat16.
ELMAN_AMX inline __m512i interleaved(__m512 even, __m512 odd) {
    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even));
    const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

/// `from` [segments * depth][vectors][lane] as pairs.
ELMAN_AMX inline void to_pairs(const float* from, Index segments, Index depth, Index vectors, float* to) {
    const Index row = vectors * 16, padded_depth = 2 * pair_rows(1, depth);
    for (Index s = 0; s < segments; ++s)
        for (Index k = 0; k < padded_depth; k += 2)
            for (Index j = 0; j < row; j += 16, to += 16) {
                const float* even = from + (s * depth + k) * row + j;
                const __m512 first = k < depth ? _mm512_loadu_ps(even) : _mm512_setzero_ps();
                const __m512 second = k + 1 < depth ? _mm512_loadu_ps(even + row) : _mm512_setzero_ps();
                _mm512_storeu_si512(to, interleaved(first, second));
            }
}

/// Some rows of A, `depth` <= 32 of each, rounded, as one tile.
ELMAN_AMX inline void to_tile(const float* a, Index a_row, Index rows, Index depth, __m512i* tile) {
    const auto mask = [](Index n) { return static_cast<__mmask16>(n >= 16 ? 0xffff : n > 0 ? (1u << n) - 1 : 0); };
    const __mmask16 low = mask(depth), high = mask(depth - 16);
    for (Index r = 0; r < rows; ++r)
        tile[r] = (__m512i)_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(high, a + r * a_row + 16),
                                               _mm512_maskz_loadu_ps(low, a + r * a_row));
    for (Index r = rows; r < 16; ++r) tile[r] = _mm512_setzero_si512();
}

/// What the unit reads for one step, read so that the sanitizers see it too.
template <int N>
inline void show([[maybe_unused]] const float* b) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    for (int k = 0; k < 16 * N * 16; ++k) (void)*static_cast<const volatile float*>(b + k);
#endif
}

template <int N>
ELMAN_AMX inline void advance(const __m512i* a, const float* b) {
    constexpr int stride = N * 64;
    show<N>(b);
    _tile_loadd(4, a, 64);
    _tile_loadd(5, b, stride);
    _tile_dpbf16ps(0, 4, 5);
    if constexpr (N > 1) {
        _tile_loadd(6, b + 16, stride);
        _tile_dpbf16ps(1, 4, 6);
    }
    if constexpr (N > 2) {
        _tile_loadd(7, b + 32, stride);
        _tile_dpbf16ps(2, 4, 7);
    }
    if constexpr (N > 3) {
        _tile_loadd(5, b + 48, stride);
        _tile_dpbf16ps(3, 4, 5);
    }
}

/// The product for up to 16 rows and a pair panel of N vectors; p.depth is that of A.
template <int N>
ELMAN_AMX void pair_tile(const Product<float>& p, Index rows) {
    constexpr int ahead = 8;  // tiles of A rounded before the unit reads them
    __m512i a[ahead][16];
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    const float* b = p.panel;
    for (Index s = 0; s < p.segments; ++s)
        for (Index k = 0; k < p.depth;) {
            int n = 0;
            for (; n < ahead && k < p.depth; ++n, k += pair_depth)
                to_tile(p.a + s * p.a_segment + k, p.a_row, rows, p.depth - k, a[n]);
            written();
            for (int t = 0; t < n; ++t, b += pair_depth / 2 * N * 16) advance<N>(a[t], b);
        }
    alignas(64) float c[N][16][16];
    _tile_stored(0, c[0], 64);
    if constexpr (N > 1) _tile_stored(1, c[1], 64);
    if constexpr (N > 2) _tile_stored(2, c[2], 64);
    if constexpr (N > 3) _tile_stored(3, c[3], 64);
    written();
    for (Index r = 0; r < rows; ++r)
        for (int n = 0; n < N; ++n)
            _mm512_storeu_ps(p.c + r * p.c_row + n * p.c_vec,
                             _mm512_loadu_ps(p.init + r * p.init_row + n * p.init_vec) + _mm512_load_ps(c[n][r]));
}

/// `multiply` with a pair panel.
inline void multiply_pairs(Product<float> p, int width, Index rows) {
    for (Index r = 0; r < rows; r += 16) {
        const Index here = rows - r < 16 ? rows - r : 16;
        switch (width) {
            case 1: pair_tile<1>(p, here); break;
            case 2: pair_tile<2>(p, here); break;
            case 3: pair_tile<3>(p, here); break;
            default: pair_tile<4>(p, here);
        }
        p.a += 16 * p.a_row;
        p.init += 16 * p.init_row;
        p.c += 16 * p.c_row;
    }
}

#else

inline bool pairs_usable() {
    return false;
}

struct PairUnit {
    explicit PairUnit(bool) {}
};

inline void to_pairs(const float*, Index, Index, Index, float*) {}
inline void multiply_pairs(const Product<float>& p, int width, Index rows) {
    multiply<float>(p, width, rows);
}

#endif

/// The product with pair panels where `pairs`, else with plain ones.
template <class S>
ELMAN_INLINE void multiply_either(bool pairs, const Product<S>& p, int width, Index rows) {
    if constexpr (sizeof(S) == 4) {
        if (pairs) return multiply_pairs(p, width, rows);
    }
    multiply<S>(p, width, rows);
}

}  // namespace elman::ELMAN_ISA
