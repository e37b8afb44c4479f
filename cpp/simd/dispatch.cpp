#include "simd/dispatch.hpp"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace elman {

namespace portable {
extern const Kernels kernels;
}
#if defined(ELMAN_AVX2)
namespace avx2 {
extern const Kernels kernels;
}
#endif
#if defined(ELMAN_X86)
namespace avx512 {
extern const Kernels kernels;
}
#endif

namespace {
std::atomic<const Kernels*> chosen{nullptr};

const Kernels* by_name(const std::string& name) {
    std::string known;
    for (const Kernels* set : available_kernels()) {
        if (name == set->name) return set;
        known += (known.empty() ? "" : ", ") + std::string(set->name);
    }
    throw std::invalid_argument("instruction set '" + name + "' is not available here; choose one of " + known);
}
}  // namespace

std::vector<const Kernels*> available_kernels() {
    std::vector<const Kernels*> sets;
#if defined(ELMAN_X86)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq"))
        sets.push_back(&avx512::kernels);
#endif
#if defined(ELMAN_AVX2)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back(&avx2::kernels);
#endif
    sets.push_back(&portable::kernels);
    return sets;
}

const Kernels& kernels() {
    const Kernels* now = chosen.load(std::memory_order_acquire);
    if (now) return *now;
    const char* forced = std::getenv("ELMAN_ISA");
    now = forced && *forced ? by_name(forced) : available_kernels().front();
    chosen.store(now, std::memory_order_release);
    return *now;
}

void select_kernels(const std::string& name) {
    chosen.store(by_name(name), std::memory_order_release);
}

}  // namespace elman
