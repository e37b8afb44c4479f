// GRU, reset before the product: n = tanh(x_n + U (r h')), h = (1 - z) n + z h'. Slots n r z.
#pragma once

#include "cells/rnn.hpp"

namespace elman::ELMAN_ISA {

template <class S_>
struct GruResetBefore {
    using S = S_;
    static constexpr int gates = 3, states = 1, slots = 3, x_gates = 3, h_first = 1, h_gates = 2;
    static constexpr int x_gate[] = {2, 0, 1}, h_gate[] = {0, 1}, last_gate[] = {2};
    static constexpr bool has_cell = false, two_products = true, keeps = true;

    /// After the first product: aux = r h'.
    static ELMAN_INLINE void reset(S* slot, Index step, const S* h_prev, S* aux) {
        const Vec<S> r = sigmoid<S>(load(slot + step));
        store(slot + step, r);
        store(aux, r * load(h_prev));
    }

    template <Keep K>
    static ELMAN_INLINE void forward(const S* slot, Index step, S* kept, Index kept_step, const S* h_prev, S* h,
                                     const S*, S*) {
        const Vec<S> z = sigmoid<S>(load(slot + 2 * step));
        const Vec<S> n = tanh<S>(load(slot));
        store(h, (S(1) - z) * n + z * load(h_prev));
        keep<K>(kept, n);
        keep<K>(kept + 2 * kept_step, z);
    }

    static ELMAN_INLINE void backward(const S* slot, Index step, const S* h_prev, const S*, const S*, S* grad_h, S*,
                                      S* grad_slot) {
        const Vec<S> n = load(slot), z = load(slot + 2 * step), grad = load(grad_h);
        store(grad_slot, grad * (S(1) - z) * (S(1) - n * n));
        store(grad_slot + 2 * step, grad * (load(h_prev) - n) * z * (S(1) - z));
        store(grad_h, grad * z);
    }

    /// grad_aux: d loss / d (r h'), the product of the candidate's gradient with U.
    static ELMAN_INLINE void backward_reset(const S* slot, Index step, const S* h_prev, const S* grad_aux, S* grad_h,
                                            S* grad_slot) {
        const Vec<S> r = load(slot + step), d = load(grad_aux);
        store(grad_slot + step, d * load(h_prev) * r * (S(1) - r));
        store(grad_h, load(grad_h) + d * r);
    }
};

}  // namespace elman::ELMAN_ISA
