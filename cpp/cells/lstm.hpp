// LSTM: c = f c' + i g, h = o tanh(c). Slots i f g o.
#pragma once

#include "cells/rnn.hpp"

namespace elman::ELMAN_ISA {

template <class S_>
struct Lstm {
    using S = S_;
    static constexpr int gates = 4, states = 2, slots = 4, x_gates = 4, h_first = 0, h_gates = 4;
    static constexpr int x_gate[] = {0, 1, 2, 3}, h_gate[] = {0, 1, 2, 3}, last_gate[] = {0};
    static constexpr bool has_cell = true, two_products = false, keeps = true;

    template <Keep K>
    static ELMAN_INLINE void forward(const S* slot, Index step, S* kept, Index kept_step, const S*, S* h,
                                     const S* c_prev, S* c_next) {
        const Vec<S> i = sigmoid<S>(load(slot));
        const Vec<S> f = sigmoid<S>(load(slot + step));
        const Vec<S> g = tanh<S>(load(slot + 2 * step));
        const Vec<S> o = sigmoid<S>(load(slot + 3 * step));
        const Vec<S> c = f * load(c_prev) + i * g;
        store(c_next, c);
        store(h, o * tanh<S>(c));
        keep<K>(kept, i);
        keep<K>(kept + kept_step, f);
        keep<K>(kept + 2 * kept_step, g);
        keep<K>(kept + 3 * kept_step, o);
    }

    static ELMAN_INLINE void backward(const S* slot, Index step, const S*, const S* c_prev, const S* c_next, S* grad_h,
                                      S* grad_c, S* grad_slot) {
        const Vec<S> i = load(slot), f = load(slot + step), g = load(slot + 2 * step), o = load(slot + 3 * step);
        const Vec<S> shown = tanh<S>(load(c_next)), grad = load(grad_h);
        const Vec<S> d = load(grad_c) + grad * o * (S(1) - shown * shown);
        store(grad_slot, d * g * i * (S(1) - i));
        store(grad_slot + step, d * load(c_prev) * f * (S(1) - f));
        store(grad_slot + 2 * step, d * i * (S(1) - g * g));
        store(grad_slot + 3 * step, grad * shown * o * (S(1) - o));
        store(grad_c, d * f);
        store(grad_h, Vec<S>{});
    }
};

}  // namespace elman::ELMAN_ISA
