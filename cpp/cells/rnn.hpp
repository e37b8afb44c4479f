// Elman's cell: h = f(a), f = tanh or relu.
#pragma once

#include "simd/math.hpp"

namespace elman::ELMAN_ISA {

/// A compiled cell. A row holds `slots` blocks of H values, each a pre-activation first and the activation after:
/// the input product goes to slots [0, x_gates), the recurrent product to [h_first, h_first + h_gates);
/// x_gate and h_gate name the torch gate (block of weight rows) behind each of them.
/// cells with `two_products` first get h_gates of U h, then slot 0 of U_last aux, aux being what `reset` wrote.
/// Pointers of the pointwise functions stand at one vector of units; slots are `step` apart.
///   forward:  slot in, kept out (activations, as K says; may be slot itself unless past), h_prev and c_prev in, h and
///             c out (c only if has_cell)
///   backward: slot in (what forward kept; h of the step where `keeps` is false), grad_h in: d loss / d h; out: the
///             part that reaches h_prev past the products; grad_c in and out likewise; grad_slot out
template <class S_, bool Tanh>
struct Rnn {
    using S = S_;
    static constexpr int gates = 1, states = 1, slots = 1, x_gates = 1, h_first = 0, h_gates = 1;
    static constexpr int x_gate[] = {0}, h_gate[] = {0}, last_gate[] = {0};
    static constexpr bool has_cell = false, two_products = false, keeps = false;

    template <Keep K>
    static ELMAN_INLINE void forward(const S* slot, Index, S*, Index, const S*, S* h, const S*, S*) {
        const Vec<S> a = load(slot);
        store(h, Tanh ? tanh<S>(a) : relu<S>(a));
    }

    static ELMAN_INLINE void backward(const S* h, Index, const S*, const S*, const S*, S* grad_h, S*, S* grad_slot) {
        const Vec<S> y = load(h), g = load(grad_h);
        store(grad_slot, Tanh ? g * (S(1) - y * y) : (y > S(0) ? g : Vec<S>{}));
        store(grad_h, Vec<S>{});
    }
};

}  // namespace elman::ELMAN_ISA
