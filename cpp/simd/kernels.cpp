// The kernels of one instruction set. Compiled once for each, with that set's flags and ELMAN_ISA its name; everything
// here lives in the set's own namespace, and no template of the standard library is instantiated with its flags.
#include "loop/backward.hpp"
#include "loop/forward.hpp"
#include "loop/stepper.hpp"

namespace elman::ELMAN_ISA {

namespace {

/// Calls run(cell) with the cell's type, by name and dtype.
template <class S, class F>
auto with_cell(Cell cell, F run) {
    switch (cell) {
        case Cell::rnn: return run(Rnn<S, true>{});
        case Cell::rnn_relu: return run(Rnn<S, false>{});
        case Cell::lstm: return run(Lstm<S>{});
        case Cell::gru: return run(Gru<S>{});
        default: return run(GruResetBefore<S>{});
    }
}

template <class F>
auto with_cell(const Call& call, F run) {
    return call.dtype == Dtype::float32 ? with_cell<float>(call.cell, run) : with_cell<double>(call.cell, run);
}

/// Threads of a call: -threads if negative; else those worth their hand-overs: one for each 60 us of work at some 30
/// multiply-adds a nanosecond, and never more than the step can be cut into.
template <class C>
int threads_of(const Call& call, Index real_steps) {
    if (call.threads < 0) return -call.threads;
    constexpr double per_thread = 60e3 * 2 * lanes<typename C::S>;
    const double features = static_cast<double>(call.symbols ? 0 : call.input) + static_cast<double>(call.output);
    const double work = static_cast<double>(real_steps) * C::gates * static_cast<double>(call.hidden) * features;
    const double most = work / per_thread;
    const Index panels = padded<typename C::S>(call.hidden) / lanes<typename C::S>;
    Index threads = call.threads < most ? call.threads : static_cast<Index>(most);
    const Index parts = call.batch > panels ? call.batch : panels;
    if (threads > parts) threads = parts;
    if (threads <= 1 || (Split::meets(call.batch, threads) && !meeting_is_cheap())) return 1;
    return static_cast<int>(threads);
}

template <class Pass>
void run_directions(Pass* pass, int threads) {
    run_team(threads, [](void* context, Team& team, int me) { static_cast<Pass*>(context)->run(team, me); }, pass);
}

void forward(const Call& call) {
    ArenaScope scope;
    const Plan plan = Plan::make(call, scope.arena);
    with_cell(call, [&](auto cell) {
        using C = decltype(cell);
        const int threads = threads_of<C>(call, plan.offset[plan.steps]);
        for (int d = 0; d < call.directions; ++d) {
            Forward<C> pass({&call, &plan, d}, threads, scope.arena);
            run_directions(&pass, threads);
        }
    });
}

void backward(const Call& call) {
    ArenaScope scope;
    const Plan plan = Plan::make(call, scope.arena);
    with_cell(call, [&](auto cell) {
        using C = decltype(cell);
        const int threads = threads_of<C>(call, 3 * plan.offset[plan.steps]);
        for (int d = 0; d < call.directions; ++d) {
            Backward<C> pass({&call, &plan, d}, threads, scope.arena);
            run_directions(&pass, threads);
        }
    });
}

std::size_t reserve_bytes(const Call& call) {
    return with_cell(call, [&](auto cell) {
        using C = decltype(cell);
        return static_cast<std::size_t>(call.directions * Trace<C>::reserve_bytes(call, Sizes<C>::of(call)));
    });
}

int threads(const Call& call) {
    return with_cell(call, [&](auto cell) { return threads_of<decltype(cell)>(call, call.steps * call.batch); });
}

CellInfo info(Cell cell) {
    return with_cell<float>(cell, [](auto c) { return CellInfo{decltype(c)::gates, decltype(c)::states}; });
}

Stream* make_stream(const StreamSpec& spec) {
    if (spec.dtype == Dtype::float64)
        return with_cell<double>(spec.cell, [&](auto c) -> Stream* { return new Stepper<decltype(c), double>(spec); });
    return with_cell<float>(spec.cell, [&](auto c) -> Stream* {
        using C = decltype(c);
        switch (spec.storage) {
            case Storage::bfloat16: return new Stepper<C, Bfloat16>(spec);
            case Storage::int8: return new Stepper<C, std::int8_t>(spec);
            default: return new Stepper<C, float>(spec);
        }
    });
}

template <class S>
void apply(int function, const S* in, S* out, Index n) {
    for (Index j = 0; j + lanes<S> <= n; j += lanes<S>)
        store(out + j, function ? tanh<S>(load(in + j)) : sigmoid<S>(load(in + j)));
}

void pointwise(int function, Dtype dtype, const void* in, void* out, Index n) {
    if (dtype == Dtype::float32)
        apply(function, static_cast<const float*>(in), static_cast<float*>(out), n);
    else
        apply(function, static_cast<const double*>(in), static_cast<double*>(out), n);
}

#define ELMAN_TEXT(name) #name
#define ELMAN_NAME(name) ELMAN_TEXT(name)

}  // namespace

extern const Kernels kernels;
const Kernels kernels{ELMAN_NAME(ELMAN_ISA), forward, backward,    reserve_bytes, threads,
                      pairs_usable,          info,    make_stream, pointwise};

}  // namespace elman::ELMAN_ISA
