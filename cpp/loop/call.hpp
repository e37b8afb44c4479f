// What one raw call is given: one layer, one or two directions, the whole sequence. The pointer contract of the core.
//
// Every address belongs to the caller and must stay valid until the call returns; nothing is kept. Unless stated
// otherwise an array is dense in its last axis, and no two arrays overlap. Strides count elements, not bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace elman {

using Index = std::int64_t;

enum class Cell { rnn, rnn_relu, lstm, gru, gru_reset_before };
inline constexpr int cell_count = 5;
enum class Dtype { float32, float64 };
inline constexpr int dtype_count = 2;

/// Parameters of one direction in torch's layout, G gates in the cell's order; null where absent.
/// w_ih (G*H, I) and w_hh (G*H, P): required. b_ih, b_hh (G*H): null means zero. w_hr (P, H): LSTM's projection,
/// null means none, and then P == H.
struct Parameters {
    const void *w_ih, *w_hh, *b_ih, *b_hh, *w_hr;
};

/// Where the gradients of one direction are written (not added), shapes as Parameters; null: not wanted.
struct ParameterGradients {
    void *w_ih, *w_hh, *b_ih, *b_hh, *w_hr;
};

struct Call {
    Cell cell;
    Dtype dtype;
    bool narrow;  ///< float32 only: products may round their operands to bfloat16; sums and states stay float32
    Index steps, batch, input, hidden, output;  ///< T, B, I (or the vocabulary), H, P
    int directions;                             ///< 1 or 2
    int threads;                                ///< at most so many, or -n: n exactly; the result does not depend on it

    const void* x;                ///< (T, B, I) by strides, or null when symbols are given
    const std::int64_t* symbols;  ///< (T, B) by the same strides, each in [0, I): one-hot input; or null
    Index x_step, x_row;          ///< strides of x or symbols along time and batch, any sign
    Parameters parameters[2];     ///< by direction
    const void *h_0, *c_0;        ///< (D, B, P), (D, B, H) dense; null: zeros; c_0 for lstm only
    const std::int64_t* lengths;  ///< (B), each in [0, T], any order; null: all T

    void* out;  ///< (T, B, D*P) by strides; direction d at features [d*P, d*P + P)
    Index out_step, out_row;
    void *h_n, *c_n;  ///< (D, B, P), (D, B, H) dense, may be h_0, c_0 themselves; null: not wanted
    void* reserve;    ///< reserve_bytes(call), 64-byte aligned: written by forward, read by backward;
                      ///< null in forward: inference

    // Backward only. x or symbols, strides, parameters and lengths as they were in forward.
    const void* grad_out;  ///< (T, B, D*P) by strides, any strides, zero too; null: zero
    Index grad_out_step, grad_out_row, grad_out_feature;
    const void *grad_h_n, *grad_c_n;  ///< (D, B, P), (D, B, H) dense; null: zero
    void* grad_x;                     ///< (T, B, I) by strides; null: not wanted; not given with symbols
    Index grad_x_step, grad_x_row;
    void *grad_h_0, *grad_c_0;  ///< (D, B, P), (D, B, H) dense; null: not wanted
    ParameterGradients gradients[2];
};

/// What a cell has, for the test that compares it with its declaration.
struct CellInfo {
    int gates, states;
};

struct StreamSpec;
class Stream;

/// The functions of one instruction set.
struct Kernels {
    const char* name;
    void (*forward)(const Call&);
    void (*backward)(const Call&);
    std::size_t (*reserve_bytes)(const Call&);
    int (*threads)(const Call&);  ///< threads a call takes
    bool (*narrow)();             ///< whether products of bfloat16 operands are faster here
    CellInfo (*info)(Cell);
    Stream* (*make_stream)(const StreamSpec&);                                   ///< owned by the caller
    void (*pointwise)(int function, Dtype, const void* in, void* out, Index n);  ///< 0 sigmoid, 1 tanh; for tests
};

}  // namespace elman
