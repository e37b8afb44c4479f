// Runs every path of the core on memory of exactly the promised size, for the sanitizers to watch. Values are compared
// in tests/kernels; here a wrong address, a data race or undefined behaviour is what fails, or a matrix unit that a
// call does not leave as it was. One argument: number of rounds.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "loop/buffers.hpp"
#include "loop/stream.hpp"
#include "simd/dispatch.hpp"

namespace {

using elman::Call;
using elman::Index;

/// Arrays of one round, each its own allocation so that one element past an end is seen.
class Memory {
public:
    Memory(elman::Dtype dtype, unsigned seed) : wide_(dtype == elman::Dtype::float64), random_(seed) {}
    Index draw(Index low, Index high) { return std::uniform_int_distribution<Index>(low, high)(random_); }
    bool coin() { return draw(0, 1) == 1; }

    void* values(Index n) {
        arrays_.push_back(std::make_unique<char[]>(static_cast<std::size_t>(n) * (wide_ ? 8 : 4)));
        char* at = arrays_.back().get();
        std::uniform_real_distribution<double> value(-1, 1);
        for (Index i = 0; i < n; ++i)
            if (wide_)
                reinterpret_cast<double*>(at)[i] = value(random_);
            else
                reinterpret_cast<float*>(at)[i] = static_cast<float>(value(random_));
        return at;
    }
    std::int64_t* integers(Index n, Index high) {
        arrays_.push_back(std::make_unique<char[]>(static_cast<std::size_t>(n) * 8));
        auto* at = reinterpret_cast<std::int64_t*>(arrays_.back().get());
        for (Index i = 0; i < n; ++i) at[i] = draw(0, high);
        return at;
    }

private:
    bool wide_;
    std::mt19937 random_;
    std::vector<std::unique_ptr<char[]>> arrays_;
};

/// How another library set the matrix unit of this thread up; ends the program if a call changes that.
class Setting {
public:
    explicit Setting(bool usable) : usable_(usable) {
        theirs_[16] = 4, theirs_[48] = 1;
        if (usable_) load(theirs_);
    }
    ~Setting() {
        if (!usable_) return;
        alignas(64) unsigned char now[64] = {}, none[64] = {};
        store(now);
        load(none);
        if (std::memcmp(now, theirs_, sizeof now) == 0) return;
        std::fprintf(stderr, "a call changed the setting of the matrix unit\n");
        std::abort();
    }

private:
#if defined(__x86_64__) && __has_include(<amxbf16intrin.h>)
    static void load(const unsigned char (&from)[64]) { asm volatile("ldtilecfg %0" : : "m"(from)); }
    static void store(unsigned char (&to)[64]) { asm volatile("sttilecfg %0" : "=m"(to)); }
#else
    static void load(const unsigned char (&)[64]) {}
    void store(unsigned char (&to)[64]) const { std::memcpy(to, theirs_, sizeof to); }
#endif
    alignas(64) unsigned char theirs_[64] = {
        1};  // palette; then of each tile bytes of a row, from 16, and rows, from 48
    bool usable_;
};

constexpr int gates[elman::cell_count] = {1, 1, 4, 3, 3};

Call draw_call(Memory& m, elman::Cell cell, elman::Dtype dtype) {
    Call c{};
    c.cell = cell, c.dtype = dtype;
    c.narrow = dtype == elman::Dtype::float32 && m.coin();
    c.steps = m.draw(0, 7), c.batch = m.draw(0, 3) ? m.draw(0, 30) : 1, c.input = m.draw(1, 40);
    c.hidden = c.output = m.draw(1, 70);
    const bool projected = cell == elman::Cell::lstm && c.hidden > 1 && m.coin();
    if (projected) c.output = m.draw(1, c.hidden - 1);
    c.directions = static_cast<int>(m.draw(1, 2)), c.threads = -static_cast<int>(m.draw(1, 3));
    const Index rows = gates[static_cast<int>(cell)] * c.hidden, all = c.steps * c.batch;
    const bool bias = m.coin(), state = m.coin();
    for (int d = 0; d < c.directions; ++d)
        c.parameters[d] = {m.values(rows * c.input), m.values(rows * c.output), bias ? m.values(rows) : nullptr,
                           bias ? m.values(rows) : nullptr, projected ? m.values(c.output * c.hidden) : nullptr};
    const bool batch_first = m.coin();
    const auto strides = [&](Index features, Index& step, Index& row) {
        step = batch_first ? features : c.batch * features;
        row = batch_first ? c.steps * features : features;
    };
    if (m.draw(0, 2) == 0) {
        c.symbols = m.integers(all, c.input - 1);
        strides(1, c.x_step, c.x_row);
    } else {
        c.x = m.values(all * c.input);
        strides(c.input, c.x_step, c.x_row);
    }
    const Index h = c.directions * c.batch * c.output, s = c.directions * c.batch * c.hidden;
    if (state) c.h_0 = m.values(h), c.c_0 = m.values(s);
    if (m.coin()) c.lengths = m.integers(c.batch, c.steps);
    c.out = m.values(all * c.directions * c.output);
    strides(c.directions * c.output, c.out_step, c.out_row);
    c.h_n = m.values(h), c.c_n = m.values(s);
    return c;
}

void add_backward(Memory& m, Call& c) {
    const Index rows = gates[static_cast<int>(c.cell)] * c.hidden, all = c.steps * c.batch;
    const Index h = c.directions * c.batch * c.output, s = c.directions * c.batch * c.hidden;
    if (m.draw(0, 4)) {
        c.grad_out = m.values(all * c.directions * c.output);
        c.grad_out_step = c.out_step, c.grad_out_row = c.out_row, c.grad_out_feature = 1;
    }
    if (m.coin()) c.grad_h_n = m.values(h), c.grad_c_n = m.values(s);
    if (c.x && m.coin()) c.grad_x = m.values(all * c.input), c.grad_x_step = c.x_step, c.grad_x_row = c.x_row;
    if (m.coin()) c.grad_h_0 = m.values(h), c.grad_c_0 = m.values(s);
    const bool wanted = m.draw(0, 3) != 0;
    for (int d = 0; wanted && d < c.directions; ++d) {
        const elman::Parameters& w = c.parameters[d];
        c.gradients[d] = {m.values(rows * c.input), m.values(rows * c.output), w.b_ih ? m.values(rows) : nullptr,
                          w.b_hh ? m.values(rows) : nullptr, w.w_hr ? m.values(c.output * c.hidden) : nullptr};
    }
}

void run_layer(const elman::Kernels& set, Memory& m, elman::Cell cell, elman::Dtype dtype) {
    Call call = draw_call(m, cell, dtype);
    const Setting setting(call.narrow && set.narrow());
    set.forward(call);
    call.reserve = elman::lend_buffer(set.reserve_bytes(call));
    set.forward(call);
    add_backward(m, call);
    set.backward(call);
    elman::return_buffer(call.reserve);
}

void run_stream(const elman::Kernels& set, Memory& m, elman::Cell cell, elman::Dtype dtype) {
    const Call c = draw_call(m, cell, dtype);
    const auto storage = static_cast<elman::Storage>(dtype == elman::Dtype::float32 ? m.draw(0, 2) : 0);
    const Index states = m.draw(1, 60);
    const std::unique_ptr<elman::Stream> stream(set.make_stream(
        {cell, dtype, storage, 1, c.input, c.hidden, c.output, states, c.symbols != nullptr, c.parameters}));
    for (const Index n : {Index(1), states}) {
        std::vector<std::int64_t> rows(static_cast<std::size_t>(n));
        for (Index r = 0; r < n; ++r) rows[static_cast<std::size_t>(r)] = states - 1 - r;
        const void* x = c.symbols ? nullptr : m.values(n * c.input);
        const std::int64_t* symbols = c.symbols ? m.integers(n, c.input - 1) : nullptr;
        stream->step(n, rows.data(), x, symbols, m.values(n * c.output));
    }
    void *h = m.values(states * c.output), *s = m.values(states * c.hidden);
    stream->get_state(h, s);
    stream->set_state(h, s);
}

void run_all(unsigned seed, int rounds) {
    for (int round = 0; round < rounds; ++round)
        for (const elman::Kernels* set : elman::available_kernels())
            for (int cell = 0; cell < elman::cell_count; ++cell)
                for (int dtype = 0; dtype < elman::dtype_count; ++dtype) {
                    Memory m(static_cast<elman::Dtype>(dtype), seed * 1000003u + static_cast<unsigned>(round));
                    run_layer(*set, m, static_cast<elman::Cell>(cell), static_cast<elman::Dtype>(dtype));
                    run_stream(*set, m, static_cast<elman::Cell>(cell), static_cast<elman::Dtype>(dtype));
                }
}

}  // namespace

int main(int count, char** arguments) {
    const int rounds = count > 1 ? std::atoi(arguments[1]) : 10;
    std::thread other(run_all, 2u, rounds);  // calls of two threads share the pool
    run_all(1u, rounds);
    other.join();
    std::printf("%d rounds on every path: nothing found\n", rounds);
}
