// One direction forward: chunks of time, each an input product for all its rows and then step by step.
#pragma once

#include "loop/symbols.hpp"

namespace elman::ELMAN_ISA {

template <class C>
class Forward {
    using S = typename C::S;

public:
    /// Takes all memory; made by one thread before the team runs.
    Forward(const Direction& d, int threads, Arena& arena) : d_(d), call_(*d.call), z_(Sizes<C>::of(*d.call)) {
        const Index steps = d.plan->steps, total = d.plan->offset[steps];
        keep_ = call_.reserve != nullptr;
        direct_ = total <= few;
        fused_ = !direct_ && z_.batch >= enough;
        pairs_ = fused_ && takes_pairs<S>(call_);
        chunk_ =
            fused_ ? chunk_steps(fused_rows, z_.batch) : chunk_steps(threads * chunk_values / z_.slot_row, z_.batch);
        if (chunk_ > steps) chunk_ = steps;
        const Index window = chunk_ * z_.batch < total ? chunk_ * z_.batch : total;
        void* memory = keep_ ? Trace<C>::reserved(call_, z_, d.number) : arena.take(Trace<C>::bytes(z_, window));
        trace_ = Trace<C>::in(memory, z_, keep_ ? total : window, *d.plan);
        const auto panels = [&](Index depth, Index units, int gates, bool filled) {
            return make_panels<S>(pairs_, 1, depth, units, gates, arena, filled);
        };
        w_hh_ = panels(z_.output, z_.hidden, C::h_gates, !direct_);
        w_last_ = panels(z_.hidden, z_.hidden, 1, !direct_ && C::two_products);
        w_hr_ = panels(z_.hidden, z_.output, 1, !direct_ && z_.projected);
        if (pairs_) {
            const Index deepest = z_.input > z_.hidden && call_.x ? z_.input : z_.hidden;
            plain_size_ = deepest * (C::gates > panel_width ? C::gates : panel_width) * lanes<S>;
            plain_ = take<S>(arena, threads * plain_size_);
        }
        bias_ = take<S>(arena, z_.slot_row);
        if (call_.symbols) {
            table_ = SymbolTable<C>(d, z_, arena);
            return;
        }
        x_ = static_cast<const S*>(call_.x);
        if (!evenly_spaced(d, call_.x_step, call_.x_row, &x_, &x_row_)) {
            x_row_ = row_stride<S>(z_.input);
            x_window_ = take<S>(arena, window * x_row_);
        }
        once_ = chunk_ == steps && !x_window_ && !fused_;
        w_ih_ = panels(z_.input, z_.hidden, C::x_gates, total > few && !once_);
        if (once_ && total > few) panels_ = take<S>(arena, threads * w_ih_.panel_size());
    }

    void run(Team& team, int me) {
        constexpr int width = C::h_gates > 1 ? C::h_gates : panel_width;
        const Split split = Split::of(team, me, z_.batch, pairs_ ? pair_tile_rows : tile_rows(width), false);
        const PairUnit unit(pairs_);
        begin(me, team.size);
        team.barrier();
        pack(me, team.size);
        team.barrier();
        Trace<C> trace = trace_;
        for (Index from = 0, to; from < d_.plan->steps; from = to) {
            to = from + chunk_ < d_.plan->steps ? from + chunk_ : d_.plan->steps;
            if (!keep_) trace.from = from;
            const Chunk chunk = Chunk::of(*d_.plan, from, to);
            const Range rows = share(chunk.rows, me, team.size);
            if (x_window_) gather(chunk, rows);
            if (!fused_) fill_slots(trace, chunk, rows, me, team.size);
            team.barrier();
            for (Index s = from; s < to; ++s) {
                if (!keep_)
                    step<Keep::nothing>(trace, split, chunk, s);
                else if (fused_ && C::keeps && !C::two_products)
                    step<Keep::past>(trace, split, chunk, s);
                else
                    step<Keep::near>(trace, split, chunk, s);
            }
            if (fused_) settle();
            team.barrier();
            emit(trace, chunk, rows);
            if (!keep_ && to < d_.plan->steps) carry(trace, to, share(d_.plan->active[to], me, team.size));
        }
    }

private:
    static constexpr Index chunk_values =
        (Index(1) << 20) / sizeof(S);         // of slots for each thread: a chunk stays in its cache
    static constexpr Index few = 4;           // rows for which packing costs more than it saves
    static constexpr Index enough = 12;       // rows of a step for which its input product needs no other steps' rows
    static constexpr Index fused_rows = 256;  // of a chunk without an input product of its own

    /// Where the slots of some ranks and the units of one panel are computed: in the trace, or in the nearest cache.
    struct Place {
        S* at;
        Index row, step;
    };

    /// Biases, the initial state, zeros past the ends, and the final state of empty rows.
    void begin(int me, int parts) {
        for (int slot = me; slot < C::slots; slot += parts)
            fill_bias<C>(z_, d_.parameters(), slot, bias_ + slot * z_.step);
        const Range rows = share(z_.batch, me, parts);
        for (Index i = rows.begin; i < rows.end; ++i) {
            const Index b = d_.number * z_.batch + d_.plan->order[i];
            initial(trace_.h_at(-1) + i * z_.output_row, z_.output_row, call_.h_0, call_.h_n, b, z_.output, i);
            if (C::has_cell)
                initial(trace_.c_at(-1) + i * z_.hidden_row, z_.hidden_row, call_.c_0, call_.c_n, b, z_.hidden, i);
            for (Index t = d_.plan->length[i]; t < call_.steps; ++t)
                clear(out_at(t * call_.out_step + d_.plan->order[i] * call_.out_row), z_.output);
        }
    }

    void initial(S* row, Index row_size, const void* given, void* final, Index b, Index n, Index rank) const {
        clear(row, row_size);
        if (given) copy(row, static_cast<const S*>(given) + b * n, n);
        if (final && d_.plan->length[rank] == 0) copy(static_cast<S*>(final) + b * n, row, n);
    }

    void pack(int me, int parts) {
        const Parameters& w = d_.parameters();
        const auto each = [&](const Panels<S>& to, const void* from, const int* gates) {
            for (Index p = me; to.data && p < to.count(); p += parts) {
                const Panels<S> plain = pairs_ ? to.plain(p, plain_ + me * plain_size_) : to;
                pack_transposed(plain, p, static_cast<const S*>(from), to.units, gates);
                if constexpr (sizeof(S) == 4)
                    if (pairs_) to_pairs(plain.panel(p), 1, to.inner, to.width(p), to.panel(p));
            }
        };
        each(w_hh_, w.w_hh, C::h_gate);
        each(w_last_, w.w_hh, C::last_gate);
        static constexpr int first[] = {0};
        each(w_hr_, w.w_hr, first);
        each(w_ih_, w.w_ih, C::x_gate);
        if (call_.symbols)
            table_.fill(z_, static_cast<const S*>(w.w_ih), bias_, share(table_.symbols.distinct, me, parts));
    }

    /// The real steps `rows` of the chunk of x, one row after the other.
    void gather(const Chunk& chunk, Range rows) {
        each_step(*d_.plan, chunk, rows, [&](Index s, Index i, Index n, Index row) {
            for (Index k = 0; k < n; ++k)
                copy(x_window_ + (row + k) * x_row_,
                     static_cast<const S*>(call_.x) + d_.at(s, i + k, call_.x_step, call_.x_row), z_.input);
        });
    }

    void fill_slots(const Trace<C>& trace, const Chunk& chunk, Range rows, int me, int parts) {
        if (call_.symbols)
            look_up(trace, chunk.from, rows);
        else if (panels_)
            project_once(trace, chunk, me, parts);
        else
            project(trace, chunk, rows);
    }

    /// Slots before the recurrent product, for the real steps `rows` of the chunk.
    void project(const Trace<C>& trace, const Chunk& chunk, Range rows) {
        const S* x = x_window_ ? x_window_ : x_ + d_.plan->offset[chunk.from] * x_row_;
        S* slots = trace.slots_at(chunk.from) + rows.begin * z_.slot_row;
        if (!w_ih_.data) {
            const S* w = static_cast<const S*>(d_.parameters().w_ih);
            for (Index r = 0; r < rows.end - rows.begin; ++r)
                for (int g = 0; g < C::x_gates; ++g)
                    multiply_direct(w + C::x_gate[g] * z_.hidden * z_.input, z_.hidden, z_.input,
                                    x + (rows.begin + r) * x_row_, bias_ + g * z_.step,
                                    slots + r * z_.slot_row + g * z_.step, 0, z_.step);
        }
        for (Index p = 0; w_ih_.data && p < w_ih_.count(); ++p)
            project_panel(w_ih_, p, x + rows.begin * x_row_, slots, rows.end - rows.begin);
        fill_rest(slots, rows.end - rows.begin);
    }

    /// The whole sequence at once: each panel is packed, used for all rows and forgotten, so that it stays in the
    /// cache.
    void project_once(const Trace<C>& trace, const Chunk& chunk, int me, int parts) {
        const S* w = static_cast<const S*>(d_.parameters().w_ih);
        const Range panels = share(w_ih_.count(), me, parts);
        for (Index p = panels.begin; p < panels.end; ++p) {
            const Panels<S> panel = w_ih_.only(p, panels_ + me * w_ih_.panel_size());
            pack_transposed(panel, p, w, z_.hidden, C::x_gate);
            project_panel(panel, p, x_, trace.slots_at(chunk.from), chunk.rows);
        }
        const Range rows = share(chunk.rows, me, parts);
        fill_rest(trace.slots_at(chunk.from) + rows.begin * z_.slot_row, rows.end - rows.begin);
    }

    void project_panel(const Panels<S>& w, Index p, const S* x, S* slots, Index rows) const {
        const Index at = units_of(w, p).begin, vec = C::x_gates > 1 ? z_.step : lanes<S>;
        multiply<S>({x, x_row_, 1, z_.input, 0, w.panel(p), bias_ + at, 0, vec, slots + at, z_.slot_row, vec},
                    w.width(p), rows);
    }

    /// Slots that only the recurrent product fills begin with its bias.
    void fill_rest(S* slots, Index rows) const {
        if (C::slots > C::x_gates)
            for (Index r = 0; r < rows; ++r)
                copy(slots + r * z_.slot_row + C::x_gates * z_.step, bias_ + C::x_gates * z_.step,
                     (C::slots - C::x_gates) * z_.step);
    }

    void look_up(const Trace<C>& trace, Index from, Range rows) {
        const std::int32_t* number = table_.symbols.number + d_.plan->offset[from];
        for (Index r = rows.begin; r < rows.end; ++r)
            copy(trace.slots_at(from) + r * z_.slot_row, table_.rows + number[r] * z_.slot_row, C::slots * z_.step);
    }

    template <Keep K>
    void step(const Trace<C>& trace, const Split& split, const Chunk& chunk, Index s) {
        const Index active = d_.plan->active[s];
        const Range panels = split.panels(w_hh_.count());
        const S* x = fused_ && !call_.symbols ? x_at(chunk, s) : nullptr;
        alignas(64) S near[near_values];
        if (split.by_units) {  // what other cores wrote
            const Index begin = w_hh_.first(panels.begin) * lanes<S>, end = w_hh_.first(panels.end) * lanes<S>;
            fetch(trace.h_at(s - 1), z_.output_row, active, begin);
            fetch(trace.h_at(s - 1) + end, z_.output_row, active, z_.output - end);
        }
        const S* x_next = x && s + 1 < chunk.to ? x_at(chunk, s + 1) : nullptr;
        each_panel(split, w_hh_, s, active, [&](Index p, Index next, bool first, Index slice, Index i, Index n) {
            const Range units = units_of(w_hh_, p);
            const Place place = fused_ && !C::two_products ? near_place(near) : place_of(trace, s, i, units.begin);
            if (fused_) {
                const S* ahead = x_next && first ? x_next + i * x_row_ : x ? w_ih_.slice(next, slice) : nullptr;
                prepare(place, x, p, ahead, s, i, n);
            }
            recurrent(w_hh_, p, next, slice, C::h_gate, trace.h_at(s - 1) + i * z_.output_row, z_.output_row, place,
                      C::h_first, n);
            if (z_.batch > 1) after_product<K>(trace, place, units, s, i, n);
        });
        // One row alone: all products first, so that the gates of several vectors overlap.
        if (z_.batch == 1 && active && panels.end > panels.begin)
            after_product<K>(trace, place_of(trace, s, 0, units_of(w_hh_, panels.begin).begin),
                             {units_of(w_hh_, panels.begin).begin, units_of(w_hh_, panels.end - 1).end}, s, 0, 1);
        if constexpr (C::two_products) {
            split.meet();
            each_panel(split, w_last_, s, active, [&](Index p, Index next, bool, Index slice, Index i, Index n) {
                const Range units = units_of(w_last_, p);
                const Place place = place_of(trace, s, i, units.begin);
                recurrent(w_last_, p, next, slice, C::last_gate, trace.aux_at(s) + i * z_.hidden_row, z_.hidden_row,
                          place, 0, n);
                pointwise<K>(trace, place, units, s, i, n);
            });
        }
        if (z_.projected) {
            split.meet();
            each_panel(split, w_hr_, s, active,
                       [&](Index p, Index, bool, Index, Index i, Index n) { project_output(trace, p, s, i, n); });
        }
        split.meet();
    }

    template <Keep K>
    ELMAN_INLINE void after_product(const Trace<C>& trace, const Place& place, Range units, Index s, Index i, Index n) {
        if constexpr (C::two_products)
            reset(trace, units, s, i, n);
        else
            pointwise<K>(trace, place, units, s, i, n);
    }

    static constexpr Index near_step = (C::h_gates > 1 ? 1 : panel_width) * lanes<S>;
    static constexpr Index near_values = 16 * C::slots * near_step;

    static Place near_place(S* memory) { return {memory, C::slots * near_step, near_step}; }
    Place place_of(const Trace<C>& trace, Index s, Index i, Index unit) const {
        return {trace.slots_at(s) + i * z_.slot_row + unit, z_.slot_row, z_.step};
    }

    /// Rows of x at step s, x_row_ apart.
    const S* x_at(const Chunk& chunk, Index s) const {
        return x_window_ ? x_window_ + (d_.plan->offset[s] - d_.plan->offset[chunk.from]) * x_row_
                         : x_ + d_.plan->offset[s] * x_row_;
    }

    /// Slots of panel p before the recurrent product, for ranks [i, i + n).
    void prepare(const Place& place, const S* x, Index p, const S* ahead, Index s, Index i, Index n) const {
        const Range units = units_of(w_hh_, p);
        const Index width = units.end - units.begin;
        if (call_.symbols) {
            const std::int32_t* number = table_.symbols.number + d_.plan->offset[s] + i;
            for (Index r = 0; r < n; ++r)
                for (int slot = 0; slot < C::slots; ++slot)
                    copy_vectors(place.at + r * place.row + slot * place.step,
                                 table_.rows + number[r] * z_.slot_row + slot * z_.step + units.begin, width);
            return;
        }
        const bool several = C::x_gates > 1;
        multiply_either<S>(pairs_,
                           {x + i * x_row_, x_row_, 1, z_.input, 0, w_ih_.panel(p), bias_ + units.begin, 0,
                            several ? z_.step : lanes<S>, place.at, place.row, several ? place.step : lanes<S>, ahead},
                           w_ih_.width(p), n);
        for (Index r = 0; r < n; ++r)
            for (int slot = C::x_gates; slot < C::slots; ++slot)
                copy_vectors(place.at + r * place.row + slot * place.step, bias_ + slot * z_.step + units.begin, width);
    }

    /// Adds the recurrent product of panel p, from n rows a, to their slots from `slot` on.
    void recurrent(const Panels<S>& w, Index p, Index next, Index slice, const int* gate, const S* a, Index a_row,
                   const Place& place, int slot, Index n) const {
        S* at = place.at + slot * place.step;
        const Range units = units_of(w, p);
        if (w.data) {
            const Index vec = w.gates > 1 ? place.step : lanes<S>;
            const Product<S> product{a,         a_row, 1,  w.inner,   0,   w.panel(p),          at,
                                     place.row, vec,   at, place.row, vec, w.slice(next, slice)};
            return z_.batch == 1 ? multiply_single(product, w.width(p), w.width(p) * lanes<S>)
                                 : multiply_either<S>(pairs_, product, w.width(p), n);
        }
        const S* direct = static_cast<const S*>(d_.parameters().w_hh);
        for (Index r = 0; r < n; ++r)
            for (int g = 0; g < w.gates; ++g) {
                S* y = at - units.begin + r * place.row + g * place.step;
                multiply_direct(direct + gate[g] * z_.hidden * w.inner, z_.hidden, w.inner, a + r * a_row, y, y,
                                units.begin, units.end);
            }
    }

    void project_output(const Trace<C>& trace, Index p, Index s, Index i, Index n) {
        const S* a = trace.aux_at(s) + i * z_.hidden_row;
        S* c = trace.h_at(s) + i * z_.output_row;
        const Range units = units_of(w_hr_, p);
        if (w_hr_.data)
            return multiply_either<S>(pairs_,
                                      {a, z_.hidden_row, 1, z_.hidden, 0, w_hr_.panel(p), zeros<S>, 0, 0,
                                       c + units.begin, z_.output_row, lanes<S>},
                                      w_hr_.width(p), n);
        for (Index r = 0; r < n; ++r) {
            clear(c + r * z_.output_row + units.begin, units.end - units.begin);
            multiply_direct(static_cast<const S*>(d_.parameters().w_hr), z_.output, z_.hidden, a + r * z_.hidden_row,
                            c + r * z_.output_row, c + r * z_.output_row, units.begin, units.end);
        }
    }

    void reset(const Trace<C>& trace, Range units, Index s, Index i, Index n) {
        if constexpr (C::two_products)
            for (Index r = i; r < i + n; ++r)
                for (Index u = units.begin; u < units.end; u += lanes<S>)
                    C::reset(trace.slots_at(s) + r * z_.slot_row + u, z_.step,
                             trace.h_at(s - 1) + r * z_.output_row + u, trace.aux_at(s) + r * z_.hidden_row + u);
    }

    template <Keep K>
    ELMAN_INLINE void pointwise(const Trace<C>& trace, const Place& place, Range units, Index s, Index i, Index n) {
        S* h = z_.projected ? trace.aux_at(s) : trace.h_at(s);
        const Index h_row = z_.projected ? z_.hidden_row : z_.output_row;
        const S *h_prev = trace.h_at(s - 1), *c_prev = C::has_cell ? trace.c_at(s - 1) : nullptr;
        S *c = C::has_cell ? trace.c_at(s) : nullptr, *slots = trace.slots_at(s);
        for (Index u = units.begin; u < units.end; u += lanes<S>)
            for (Index r = i; r < i + n; ++r)
                C::template forward<K>(place.at + (r - i) * place.row + u - units.begin, place.step,
                                       slots + r * z_.slot_row + u, z_.step, h_prev + r * z_.output_row + u,
                                       h + r * h_row + u, c_prev + r * z_.hidden_row + u, c + r * z_.hidden_row + u);
    }

    S* out_at(Index offset) const { return static_cast<S*>(call_.out) + offset + d_.number * z_.output; }

    /// Writes the outputs of a chunk, and the final state of the rows that end in it.
    void emit(const Trace<C>& trace, const Chunk& chunk, Range rows) {
        each_step(*d_.plan, chunk, rows, [&](Index s, Index first, Index n, Index) {
            for (Index i = first; i < first + n; ++i) {
                const S* h = trace.h_at(s) + i * z_.output_row;
                copy(out_at(d_.at(s, i, call_.out_step, call_.out_row)), h, z_.output);
                if (s + 1 < d_.plan->length[i]) continue;
                const Index b = d_.number * z_.batch + d_.plan->order[i];
                if (call_.h_n) copy(static_cast<S*>(call_.h_n) + b * z_.output, h, z_.output);
                if (C::has_cell && call_.c_n)
                    copy(static_cast<S*>(call_.c_n) + b * z_.hidden, trace.c_at(s) + i * z_.hidden_row, z_.hidden);
            }
        });
    }

    /// Moves the state before step `to` to where the next window looks for it.
    void carry(const Trace<C>& trace, Index to, Range ranks) {
        const Index n = ranks.end - ranks.begin;
        copy(trace.h + ranks.begin * z_.output_row, trace.h_at(to - 1) + ranks.begin * z_.output_row,
             n * z_.output_row);
        if (C::has_cell)
            copy(trace.c + ranks.begin * z_.hidden_row, trace.c_at(to - 1) + ranks.begin * z_.hidden_row,
                 n * z_.hidden_row);
    }

    Direction d_;
    const Call& call_;
    Sizes<C> z_;
    bool keep_, direct_, fused_, pairs_, once_ = false;
    Index chunk_;
    Trace<C> trace_;
    Panels<S> w_ih_, w_hh_, w_last_, w_hr_;
    SymbolTable<C> table_;
    S *bias_ = nullptr, *panels_ = nullptr, *plain_ = nullptr;
    Index plain_size_ = 0;
    const S* x_ = nullptr;
    Index x_row_ = 0;
    S* x_window_ = nullptr;
};

}  // namespace elman::ELMAN_ISA
