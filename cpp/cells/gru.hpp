// GRU, reset after the product: n = tanh(x_n + r u), h = (1 - z) n + z h'. Slots n r z u: the input product fills
// n r z and the recurrent one r z u, both side by side; in backward u holds d_n r.
#pragma once

#include "cells/rnn.hpp"

namespace elman::ELMAN_ISA {

template <class S_>
struct Gru {
    using S = S_;
    static constexpr int gates = 3, states = 1, slots = 4, x_gates = 3, h_first = 1, h_gates = 3;
    static constexpr int x_gate[] = {2, 0, 1}, h_gate[] = {0, 1, 2}, last_gate[] = {0};
    static constexpr bool has_cell = false, two_products = false, keeps = true;

    template <Keep K>
    static ELMAN_INLINE void forward(const S* slot, Index step, S* kept, Index kept_step, const S* h_prev, S* h,
                                     const S*, S*) {
        const Vec<S> r = sigmoid<S>(load(slot + step));
        const Vec<S> z = sigmoid<S>(load(slot + 2 * step));
        const Vec<S> n = tanh<S>(load(slot) + r * load(slot + 3 * step));
        store(h, (S(1) - z) * n + z * load(h_prev));
        keep<K>(kept, n);
        keep<K>(kept + kept_step, r);
        keep<K>(kept + 2 * kept_step, z);
        keep<K>(kept + 3 * kept_step, load(slot + 3 * step));
    }

    static ELMAN_INLINE void backward(const S* slot, Index step, const S* h_prev, const S*, const S*, S* grad_h, S*,
                                      S* grad_slot) {
        const Vec<S> n = load(slot), r = load(slot + step), z = load(slot + 2 * step), grad = load(grad_h);
        const Vec<S> d_n = grad * (S(1) - z) * (S(1) - n * n);
        store(grad_slot, d_n);
        store(grad_slot + step, d_n * load(slot + 3 * step) * r * (S(1) - r));
        store(grad_slot + 2 * step, grad * (load(h_prev) - n) * z * (S(1) - z));
        store(grad_slot + 3 * step, d_n * r);
        store(grad_h, grad * z);
    }
};

}  // namespace elman::ELMAN_ISA
