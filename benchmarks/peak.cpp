// The limits of this machine, as one JSON object on stdout: single-precision multiply-add rate from registers
// (GFLOP/s, two operations each) and read bandwidth by working set per thread (GB/s), all threads together.
// The best of several repeats: a limit is what the machine can do, not what it did on average.
//
//     c++ -O3 -march=native -std=gnu++17 -pthread peak.cpp -o peak && ./peak 2
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int kFloats = 16;
#elif defined(__AVX__)
constexpr int kFloats = 8;
#else
constexpr int kFloats = 4;
#endif
typedef float Vector __attribute__((vector_size(kFloats * sizeof(float))));

// Latency times ports is 8 to 10 on current cores: 12 independent sums keep both multiply-add units busy.
constexpr int kSums = 12;
constexpr int kRepeats = 12;

static volatile float sink;

static float collapse(const Vector* sums, int count) {
  float total = 0;
  for (int i = 0; i < count; ++i)
    for (int j = 0; j < kFloats; ++j) total += sums[i][j];
  return total;
}

static void multiply_add(long rounds) {
  volatile float start = 0.999f;
  Vector a = Vector{} + start, b = Vector{} + (1 - start), sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = Vector{} + 0.1f * i;
  for (long r = 0; r < rounds; ++r)
    for (int i = 0; i < kSums; ++i) sums[i] = sums[i] * a + b;
  sink = collapse(sums, kSums);
}

static void read(const Vector* data, std::size_t vectors, long rounds) {
  Vector sums[8] = {};
  for (long r = 0; r < rounds; ++r) {
    for (std::size_t i = 0; i + 8 <= vectors; i += 8)
      for (int j = 0; j < 8; ++j) sums[j] += data[i + j];
    asm volatile("" ::: "memory");  // the next round must read again
  }
  sink = collapse(sums, 8);
}

// Seconds of the slowest thread, all having started together; the best of the repeats.
static double best_seconds(int threads, const std::function<void(int)>& work) {
  double best = 1e30;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    std::atomic<int> waiting{threads};
    std::vector<double> seconds(threads);
    std::vector<std::thread> team;
    for (int t = 0; t < threads; ++t)
      team.emplace_back([&, t] {
        --waiting;
        while (waiting.load()) std::this_thread::yield();
        auto begin = std::chrono::steady_clock::now();
        work(t);
        seconds[t] = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      });
    for (auto& thread : team) thread.join();
    best = std::min(best, *std::max_element(seconds.begin(), seconds.end()));
  }
  return best;
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  const long rounds = 20000000;
  const double fma = best_seconds(threads, [&](int) { multiply_add(rounds); });
  std::printf("{\"vector_bits\": %d, \"threads\": %d, \"fma_gflops\": %.1f", kFloats * 32, threads,
              2.0 * kFloats * kSums * rounds * threads / fma * 1e-9);
  std::printf(", \"read_gb_per_s\": {");
  const std::size_t sizes[] = {32u << 10, 512u << 10, 8u << 20, 256u << 20};
  for (std::size_t size : sizes) {
    const std::size_t vectors = size / sizeof(Vector);
    std::vector<std::vector<Vector>> data(threads, std::vector<Vector>(vectors, Vector{} + 1.0f));
    const long passes = std::max<long>(1, (256l << 20) / static_cast<long>(size));
    const double seconds = best_seconds(threads, [&](int t) { read(data[t].data(), vectors, passes); });
    std::printf("%s\"%zu KiB\": %.1f", size == sizes[0] ? "" : ", ", size >> 10,
                static_cast<double>(size) * passes * threads / seconds * 1e-9);
  }
  std::printf("}}\n");
}
