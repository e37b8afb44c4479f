// Step by step: a stack of layers with its weights packed once and the states of many sequences inside.
#pragma once

#include "loop/call.hpp"

namespace elman {

/// Smaller weights for bandwidth: bfloat16 (rounded to nearest even), int8 (symmetric, one scale for each output unit);
/// sums stay float32. exact: as the dtype.
enum class Storage { exact, bfloat16, int8 };

struct StreamSpec {
    Cell cell;
    Dtype dtype;
    Storage storage;
    Index layers, input, hidden, output;  ///< I of the first layer (or the vocabulary), H, P
    Index states;                         ///< independent sequences, numbered from 0
    bool symbols;                         ///< the first layer reads symbols: its input product is a table
    const Parameters* parameters;         ///< [layers], read by make_stream only
};

class Stream {
public:
    virtual ~Stream() = default;

    /// One step of n sequences, each at most once: rows (n) their numbers, null: 0 .. n - 1. x (n, I) dense or
    /// symbols (n), the other null. out (n, P) dense.
    virtual void step(Index n, const std::int64_t* rows, const void* x, const std::int64_t* symbols, void* out) = 0;

    /// Copies the state of all sequences between (layers, states, P) or (layers, states, H) dense arrays and the
    /// stream; c is null for cells without one.
    virtual void get_state(void* h, void* c) const = 0;
    virtual void set_state(const void* h, const void* c) = 0;
};

}  // namespace elman
