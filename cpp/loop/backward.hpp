// One direction backward: chunks of time from the last to the first, each step by step and then the large products.
#pragma once

#include "loop/gradients.hpp"

namespace elman::ELMAN_ISA {

template <class C>
class Backward {
    using S = typename C::S;

public:
    /// Takes all memory; made by one thread before the team runs.
    Backward(const Direction& d, int threads, Arena& arena)
        : d_(d),
          call_(*d.call),
          z_(Sizes<C>::of(*d.call)),
          steps_(d.plan->steps),
          chunk_(chunk_of(z_, steps_)),
          by_units_(prefers_units(call_, threads, C::gates * z_.hidden * z_.output * Index(sizeof(S)))),
          pairs_(takes_pairs<S>(call_)),
          gradients_(d, z_, chunk_ * z_.batch, threads, pairs_, arena) {
        const Index window = chunk_ * z_.batch;
        trace_ = Trace<C>::in(Trace<C>::reserved(call_, z_, d.number), z_, d.plan->offset[steps_], *d.plan);
        grad_slots_ = take<S>(arena, window * z_.slot_row);
        grad_h_ = take<S>(arena, z_.batch * z_.hidden_row);
        if (C::has_cell) grad_c_ = take<S>(arena, z_.batch * z_.hidden_row);
        if (C::two_products) grad_aux_ = take<S>(arena, z_.batch * z_.hidden_row);
        if (z_.projected) {
            grad_out_ = take<S>(arena, z_.batch * z_.output_row);
            grad_outs_ = take<S>(arena, window * z_.output_row);
        }
        const Parameters& w = d.parameters();
        w_hh_ = weights(C::h_gates, z_.hidden, z_.output, w.w_hh, arena);
        if (C::two_products)
            w_last_ = weights(1, z_.hidden, z_.hidden, static_cast<const S*>(w.w_hh) + last_rows(), arena);
        if (z_.projected) w_hr_ = weights(1, z_.output, z_.hidden, w.w_hr, arena);
        if (pairs_) {
            const Index deepest = C::gates * (z_.hidden > z_.output ? z_.hidden : z_.output);
            plain_size_ = deepest * panel_width * lanes<S>;
            plain_ = take<S>(arena, threads * plain_size_);
        }
        if (!call_.grad_x) return;
        once_ = chunk_ == steps_ && !pairs_;
        w_ih_ = make_panels<S>(pairs_, C::x_gates, z_.hidden, z_.input, 1, arena, !once_);
        if (once_) panels_ = take<S>(arena, threads * w_ih_.panel_size());
        grad_x_row_ = row_stride<S>(padded<S>(z_.input));
        grad_x_ = take<S>(arena, window * grad_x_row_);
    }

    void run(Team& team, int me) {
        const Split split = Split::of(team, me, z_.batch, pairs_ ? pair_tile_rows : tile_rows(panel_width), by_units_);
        const PairUnit unit(pairs_);
        begin(me, team.size);
        team.barrier();
        for (Index to = steps_, from; to > 0; to = from) {
            from = to > chunk_ ? to - chunk_ : 0;
            const Chunk chunk = Chunk::of(*d_.plan, from, to);
            const Range rows = share(chunk.rows, me, team.size);
            for (Index s = to; s-- > from;) step(split, chunk, s);
            if (gradients_.wanted()) gradients_.pack(trace_, chunk, rows);
            team.barrier();
            if (pairs_) gradients_.pair(chunk, me, team.size);
            if (pairs_) team.barrier();
            if (call_.grad_x && once_) {
                const Range panels = share(w_ih_.count(), me, team.size);
                input_gradient({0, chunk.rows}, panels, panels_ + me * w_ih_.panel_size());
                team.barrier();
                write_input_gradient(chunk, rows);
            } else if (call_.grad_x) {
                input_gradient(rows, {0, w_ih_.count()}, nullptr);
                write_input_gradient(chunk, rows);
            }
            if (gradients_.wanted()) gradients_.accumulate(grad_slots_, grad_outs_, chunk, me, team.size);
            team.barrier();
        }
        gradients_.finish(me, team.size);
        finish(me, team.size);
    }

private:
    /// Enough rows to make the products large, few enough to stay in the cache.
    static Index chunk_of(const Sizes<C>& z, Index steps) {
        const Index chunk = chunk_steps(384, z.batch);
        return chunk < steps ? chunk : steps;
    }

    /// First value of the weights of the second product.
    Index last_rows() const { return C::last_gate[0] * z_.hidden * z_.hidden; }

    /// Panels to pack a recurrent weight into; for a batch of one the weight itself, if its rows are whole vectors.
    /// The gates of a recurrent weight are in torch's order already.
    Panels<S> weights(Index segments, Index depth, Index units, const void* weight, Arena& arena) const {
        const bool itself = z_.batch == 1 && units % lanes<S> == 0;
        Panels<S> panels = make_panels<S>(pairs_, segments, depth, units, 1, arena, !itself);
        if (itself) panels.data = static_cast<S*>(const_cast<void*>(weight)), panels.unpacked = units;
        return panels;
    }

    S* flowing() const { return z_.projected ? grad_out_ : grad_h_; }

    void begin(int me, int parts) {
        const Parameters& w = d_.parameters();
        static constexpr int first[] = {0};
        const auto each = [&](const Panels<S>& to, const void* from, const int* gates, int count) {
            for (Index p = me; to.data && !to.unpacked && p < to.count(); p += parts) {
                const Panels<S> plain = pairs_ ? to.plain(p, plain_ + me * plain_size_) : to;
                pack_gates(plain, p, static_cast<const S*>(from), gates, count);
                if constexpr (sizeof(S) == 4)
                    if (pairs_) to_pairs(plain.panel(p), count, to.inner / count, to.width(p), to.panel(p));
            }
        };
        each(w_hh_, w.w_hh, C::h_gate, C::h_gates);
        each(w_last_, w.w_hh, C::last_gate, 1);
        each(w_hr_, w.w_hr, first, 1);
        each(w_ih_, w.w_ih, C::x_gate, C::x_gates);
        const Range rows = share(z_.batch, me, parts);
        for (Index i = rows.begin; i < rows.end; ++i) {
            const Index b = d_.number * z_.batch + d_.plan->order[i];
            initial(flowing() + i * z_.output_row, z_.output_row, call_.grad_h_n, b, z_.output);
            if (C::has_cell) initial(grad_c_ + i * z_.hidden_row, z_.hidden_row, call_.grad_c_n, b, z_.hidden);
            if (call_.grad_x && d_.number == 0)
                for (Index t = d_.plan->length[i]; t < call_.steps; ++t)
                    clear(static_cast<S*>(call_.grad_x) + t * call_.grad_x_step + d_.plan->order[i] * call_.grad_x_row,
                          z_.input);
        }
        gradients_.begin(me, parts);
    }

    static void pack_gates(const Panels<S>& to, Index p, const S* from, const int* gates, int count) {
        const Index rows = to.depth / count;
        for (int g = 0; g < count; ++g)
            pack_rows(to, p, g * rows, from + gates[g] * rows * to.units, to.units, rows, to.units);
    }

    static void initial(S* row, Index row_size, const void* given, Index b, Index n) {
        clear(row, row_size);
        if (given) copy(row, static_cast<const S*>(given) + b * n, n);
    }

    void step(const Split& split, const Chunk& chunk, Index s) {
        const Index active = d_.plan->active[s], base = d_.plan->offset[s] - d_.plan->offset[chunk.from];
        S* grad_slots = grad_slots_ + base * z_.slot_row;
        const Range outputs = split.panels(w_hh_.count());
        split.rows(active, [&](Index i, Index n) {
            add_output(s, i, n, outputs);
            if (z_.projected) keep_output(base, i, n, outputs);
        });
        if (z_.projected) {
            split.meet();
            each_panel(split, w_hr_, s, active, [&](Index p, Index next, bool, Index slice, Index i, Index n) {
                product(w_hr_, p, next, slice, grad_out_, z_.output_row, 1, 0, grad_h_, z_.hidden_row, false, i, n);
            });
        }
        const Range vectors = hidden_vectors(split);
        split.rows(active, [&](Index i, Index n) { pointwise(grad_slots, vectors, s, i, n); });
        if constexpr (C::two_products) {
            split.meet();
            each_panel(split, w_last_, s, active, [&](Index p, Index next, bool, Index slice, Index i, Index n) {
                product(w_last_, p, next, slice, grad_slots, z_.slot_row, 1, 0, grad_aux_, z_.hidden_row, false, i, n);
            });
            split.rows(active, [&](Index i, Index n) { reset(grad_slots, vectors, s, i, n); });
        }
        split.meet();
        const bool onto = !z_.projected;
        each_panel(split, w_hh_, s, active, [&](Index p, Index next, bool, Index slice, Index i, Index n) {
            product(w_hh_, p, next, slice, grad_slots + C::h_first * z_.step, z_.slot_row, C::h_gates, z_.step,
                    flowing(), z_.output_row, onto, i, n);
        });
        split.meet();
    }

    /// Vectors of the hidden units whose gradient this thread also computes: the split of a plain product's panels.
    Range hidden_vectors(const Split& split) const {
        const Panels<S> plain{nullptr, 0, z_.hidden, z_.step / lanes<S>, 1};
        const Range panels = split.panels(plain.count());
        return {plain.first(panels.begin), plain.first(panels.end)};
    }

    /// grad of the state after step s, ranks [i, i + n), features of `panels`: adds the gradient of the output.
    void add_output(Index s, Index i, Index n, Range panels) {
        if (!call_.grad_out) return;
        const Index begin = w_hh_.first(panels.begin) * lanes<S>, stop = w_hh_.first(panels.end) * lanes<S>;
        const Index end = stop < z_.output ? stop : z_.output, feature = call_.grad_out_feature;
        for (Index r = i; r < i + n; ++r) {
            const S* from = static_cast<const S*>(call_.grad_out) + d_.number * z_.output * feature +
                            d_.at(s, r, call_.grad_out_step, call_.grad_out_row);
            S* to = flowing() + r * z_.output_row;
            if (feature == 1)
                add(to + begin, from + begin, end - begin);
            else
                for (Index j = begin; j < end; ++j) to[j] += from[j * feature];
        }
    }

    void keep_output(Index base, Index i, Index n, Range panels) {
        const Index begin = w_hh_.first(panels.begin) * lanes<S>, end = w_hh_.first(panels.end) * lanes<S>;
        for (Index r = i; r < i + n; ++r)
            copy(grad_outs_ + (base + r) * z_.output_row + begin, grad_out_ + r * z_.output_row + begin, end - begin);
    }

    /// to = (onto ? to : 0) + from W for panel p of a plain product; a slice of the next panel is fetched meanwhile.
    void product(const Panels<S>& w, Index p, Index next, Index slice, const S* from, Index from_row, Index segments,
                 Index segment, S* to, Index to_row, bool onto, Index i, Index n) {
        S* c = to + i * to_row + units_of(w, p).begin;
        Product<S> product{from + i * from_row,
                           from_row,
                           segments,
                           w.inner / segments,
                           segment,
                           w.panel(p),
                           c,
                           to_row,
                           lanes<S>,
                           c,
                           to_row,
                           lanes<S>,
                           w.unpacked ? nullptr : w.slice(next, slice)};
        if (!onto) {
            product.init = zeros<S>;
            product.init_row = product.init_vec = 0;
        }
        if (z_.batch == 1)
            multiply_single(product, w.width(p), w.row(p));
        else
            multiply_either<S>(pairs_, product, w.width(p), n);
    }

    ELMAN_INLINE void pointwise(S* grad_slots, Range vectors, Index s, Index i, Index n) {
        const S *slots = C::keeps ? trace_.slots_at(s) : trace_.h_at(s), *h_prev = trace_.h_at(s - 1);
        const Index slot_row = C::keeps ? z_.slot_row : z_.output_row;
        const S *c_prev = C::has_cell ? trace_.c_at(s - 1) : nullptr, *c = C::has_cell ? trace_.c_at(s) : nullptr;
        for (Index r = i; r < i + n; ++r)
            for (Index u = vectors.begin * lanes<S>; u < vectors.end * lanes<S>; u += lanes<S>)
                C::backward(slots + r * slot_row + u, z_.step, h_prev + r * z_.output_row + u,
                            c_prev + r * z_.hidden_row + u, c + r * z_.hidden_row + u, grad_h_ + r * z_.hidden_row + u,
                            grad_c_ + r * z_.hidden_row + u, grad_slots + r * z_.slot_row + u);
    }

    void reset(S* grad_slots, Range vectors, Index s, Index i, Index n) {
        if constexpr (C::two_products)
            for (Index r = i; r < i + n; ++r)
                for (Index u = vectors.begin * lanes<S>; u < vectors.end * lanes<S>; u += lanes<S>)
                    C::backward_reset(trace_.slots_at(s) + r * z_.slot_row + u, z_.step,
                                      trace_.h_at(s - 1) + r * z_.output_row + u, grad_aux_ + r * z_.hidden_row + u,
                                      grad_h_ + r * z_.hidden_row + u, grad_slots + r * z_.slot_row + u);
    }

    /// Gradient of x for the real steps `rows` of a chunk and some panels; each is packed into `memory` if given.
    void input_gradient(Range rows, Range panels, S* memory) {
        for (Index p = panels.begin; p < panels.end; ++p) {
            const Panels<S> w = memory ? w_ih_.only(p, memory) : w_ih_;
            if (memory) pack_gates(w, p, static_cast<const S*>(d_.parameters().w_ih), C::x_gate, C::x_gates);
            multiply_either<S>(
                pairs_,
                {grad_slots_ + rows.begin * z_.slot_row, z_.slot_row, C::x_gates, z_.hidden, z_.step, w.panel(p),
                 zeros<S>, 0, 0, grad_x_ + rows.begin * grad_x_row_ + units_of(w, p).begin, grad_x_row_, lanes<S>},
                w.width(p), rows.end - rows.begin);
        }
    }

    /// The second direction adds to what the first wrote.
    void write_input_gradient(const Chunk& chunk, Range rows) {
        each_step(*d_.plan, chunk, rows, [&](Index s, Index i, Index n, Index row) {
            for (Index k = 0; k < n; ++k) {
                S* to = static_cast<S*>(call_.grad_x) + d_.at(s, i + k, call_.grad_x_step, call_.grad_x_row);
                const S* from = grad_x_ + (row + k) * grad_x_row_;
                d_.number == 0 ? copy(to, from, z_.input) : add(to, from, z_.input);
            }
        });
    }

    void finish(int me, int parts) {
        const Range rows = share(z_.batch, me, parts);
        for (Index i = rows.begin; i < rows.end; ++i) {
            const Index b = d_.number * z_.batch + d_.plan->order[i];
            if (call_.grad_h_0)
                copy(static_cast<S*>(call_.grad_h_0) + b * z_.output, flowing() + i * z_.output_row, z_.output);
            if (C::has_cell && call_.grad_c_0)
                copy(static_cast<S*>(call_.grad_c_0) + b * z_.hidden, grad_c_ + i * z_.hidden_row, z_.hidden);
        }
    }

    Direction d_;
    const Call& call_;
    Sizes<C> z_;
    Index steps_, chunk_;
    bool by_units_, pairs_;
    Gradients<C> gradients_;
    Trace<C> trace_;
    Panels<S> w_ih_, w_hh_, w_last_, w_hr_;
    S *grad_slots_ = nullptr, *grad_h_ = nullptr, *grad_c_ = nullptr, *grad_aux_ = nullptr;
    S *grad_out_ = nullptr, *grad_outs_ = nullptr, *grad_x_ = nullptr;
    S *panels_ = nullptr, *plain_ = nullptr;
    Index plain_size_ = 0;
    Index grad_x_row_ = 0;
    bool once_ = false;
};

}  // namespace elman::ELMAN_ISA
