// Vectors of one instruction set, by the compilers' vector extensions. Include from an instruction set's own unit only:
// ELMAN_ISA names the namespace, so that no function compiled for one processor is ever linked for another.
#pragma once

#include <cstdint>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define ELMAN_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define ELMAN_VECTOR_BYTES 32
#else
#define ELMAN_VECTOR_BYTES 16
#endif

#define ELMAN_INLINE inline __attribute__((always_inline))

namespace elman::ELMAN_ISA {

using Index = std::int64_t;

template <class S>
struct VecOf;

template <>
struct VecOf<float> {
    typedef float type __attribute__((vector_size(ELMAN_VECTOR_BYTES)));
    typedef std::int32_t bits __attribute__((vector_size(ELMAN_VECTOR_BYTES)));
    typedef float loose __attribute__((vector_size(ELMAN_VECTOR_BYTES), aligned(4), may_alias));
    typedef std::uint32_t words __attribute__((vector_size(ELMAN_VECTOR_BYTES)));
    typedef std::uint16_t halves __attribute__((vector_size(ELMAN_VECTOR_BYTES / 2), aligned(2), may_alias));
    typedef std::int8_t bytes __attribute__((vector_size(ELMAN_VECTOR_BYTES / 4), aligned(1), may_alias));
};

template <>
struct VecOf<double> {
    typedef double type __attribute__((vector_size(ELMAN_VECTOR_BYTES)));
    typedef std::int64_t bits __attribute__((vector_size(ELMAN_VECTOR_BYTES)));
    typedef double loose __attribute__((vector_size(ELMAN_VECTOR_BYTES), aligned(8), may_alias));
};

template <class S>
using Vec = typename VecOf<S>::type;
template <class S>
using Bits = typename VecOf<S>::bits;

/// Values of S in one vector.
template <class S>
inline constexpr Index lanes = ELMAN_VECTOR_BYTES / sizeof(S);

/// Vector registers the tiles may count on.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int registers = 32;
#else
inline constexpr int registers = 16;
#endif

template <class S>
ELMAN_INLINE Vec<S> load(const S* p) {
    return *reinterpret_cast<const typename VecOf<S>::loose*>(p);
}

template <class S>
ELMAN_INLINE void store(S* p, Vec<S> v) {
    *reinterpret_cast<typename VecOf<S>::loose*>(p) = v;
}

/// What a cell's forward leaves for its backward: nothing, its activations, or these written past the caches.
enum class Keep { nothing, near, past };

/// Stores a vector at p, which is aligned to one, if it is to be kept.
template <Keep K, class S>
ELMAN_INLINE void keep(S* p, Vec<S> v) {
#if defined(__AVX512F__)
    if constexpr (K == Keep::past) return _mm512_stream_si512(reinterpret_cast<__m512i*>(p), (__m512i)v);
#endif
    if constexpr (K != Keep::nothing) store(p, v);
}

/// Before other threads may read what was written past the caches.
ELMAN_INLINE void settle() {
#if defined(__AVX512F__)
    _mm_sfence();
#endif
}

/// Weights may be stored smaller than they are computed with: one vector of S from `lanes<S>` stored values.
struct Bfloat16 {
    std::uint16_t bits;
};

template <class S, class W>
ELMAN_INLINE Vec<S> load_weight(const W* p) {
    if constexpr (sizeof(W) == sizeof(S)) {
        return load(reinterpret_cast<const S*>(p));
    } else if constexpr (sizeof(W) == 2) {
#if defined(__AVX512F__)
        const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
        return (Vec<S>)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
#elif defined(__AVX2__)
        const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        return (Vec<S>)_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16);
#else
        typename VecOf<S>::halves half = *reinterpret_cast<const typename VecOf<S>::halves*>(p);
        return (Vec<S>)(__builtin_convertvector(half, typename VecOf<S>::words) << 16);
#endif
    } else {
#if defined(__AVX512F__)
        const __m128i byte = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        return (Vec<S>)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(byte));
#elif defined(__AVX2__)
        const __m128i byte = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
        return (Vec<S>)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(byte));
#else
        typename VecOf<S>::bytes byte = *reinterpret_cast<const typename VecOf<S>::bytes*>(p);
        return __builtin_convertvector(__builtin_convertvector(byte, Bits<S>), Vec<S>);
#endif
    }
}

template <class S>
ELMAN_INLINE Vec<S> broadcast(S value) {
    return value - Vec<S>{};
}

/// Values rounded up to whole vectors.
template <class S>
constexpr Index padded(Index n) {
    return (n + lanes<S> - 1) / lanes<S> * lanes<S>;
}

/// One vector of zeros in memory.
template <class S>
alignas(64) inline constexpr S zeros[lanes<S>] = {};

/// Row stride for n values: whole cache lines, an odd number of them, so that equal columns of neighbouring rows do
/// not fall into the same set of the cache.
template <class S>
constexpr Index row_stride(Index n) {
    constexpr Index line = 64 / sizeof(S);
    return ((n + line - 1) / line | 1) * line;
}

}  // namespace elman::ELMAN_ISA
