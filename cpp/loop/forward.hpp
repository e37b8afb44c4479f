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
        chunk_ = chunk_steps(threads * chunk_values / z_.slot_row, z_.batch);
        if (chunk_ > steps) chunk_ = steps;
        const Index window = chunk_ * z_.batch < total ? chunk_ * z_.batch : total;
        void* memory = keep_ ? Trace<C>::reserved(call_, z_, d.number) : arena.take(Trace<C>::bytes(z_, window));
        trace_ = Trace<C>::in(memory, z_, keep_ ? total : window, *d.plan);
        direct_ = z_.batch == 1 || total <= few;
        w_hh_ = Panels<S>::make(z_.output, z_.hidden, C::h_gates, arena, !direct_);
        w_last_ = Panels<S>::make(z_.hidden, z_.hidden, 1, arena, !direct_ && C::two_products);
        w_hr_ = Panels<S>::make(z_.hidden, z_.output, 1, arena, !direct_ && z_.projected);
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
        once_ = chunk_ == steps && !x_window_;
        w_ih_ = Panels<S>::make(z_.input, z_.hidden, C::x_gates, arena, total > few && !once_);
        if (once_ && total > few) panels_ = take<S>(arena, threads * w_ih_.panel_size());
    }

    void run(Team& team, int me) {
        constexpr int width = C::h_gates > 1 ? C::h_gates : panel_width;
        const Split split = Split::of(team, me, z_.batch, tile_rows(width));
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
            if (call_.symbols)
                look_up(trace, from, rows);
            else if (panels_)
                project_once(trace, chunk, me, team.size);
            else
                project(trace, chunk, rows);
            team.barrier();
            for (Index s = from; s < to; ++s) keep_ ? step<true>(trace, split, s) : step<false>(trace, split, s);
            team.barrier();
            emit(trace, chunk, rows);
            if (!keep_ && to < d_.plan->steps) carry(trace, to, share(d_.plan->active[to], me, team.size));
        }
    }

private:
    static constexpr Index chunk_values =
        (Index(1) << 20) / sizeof(S);  // of slots for each thread: a chunk stays in its cache
    static constexpr Index few = 4;    // rows for which packing costs more than it saves

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
            for (Index p = me; to.data && p < to.count(); p += parts)
                pack_transposed(to, p, static_cast<const S*>(from), to.units, gates);
        };
        each(w_hh_, w.w_hh, C::h_gate);
        each(w_last_, w.w_hh, C::last_gate);
        static constexpr int first[] = {0};
        each(w_hr_, w.w_hr, first);
        each(w_ih_, w.w_ih, C::x_gate);
        if (call_.symbols)
            table_.fill(z_, static_cast<const S*>(w.w_ih), bias_, share(table_.symbols.distinct, me, parts));
    }

    /// Slots before the recurrent product, for the real steps `rows` of the chunk.
    void project(const Trace<C>& trace, const Chunk& chunk, Range rows) {
        if (x_window_) {
            each_step(*d_.plan, chunk, rows, [&](Index s, Index i, Index n, Index row) {
                for (Index k = 0; k < n; ++k)
                    copy(x_window_ + (row + k) * x_row_,
                         static_cast<const S*>(call_.x) + d_.at(s, i + k, call_.x_step, call_.x_row), z_.input);
            });
        }
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

    template <bool Keep>
    void step(const Trace<C>& trace, const Split& split, Index s) {
        const Index active = d_.plan->active[s];
        const Range panels = split.panels(w_hh_.count());
        for (Index p = panels.begin; p < panels.end; ++p)
            split.rows(active, [&](Index i, Index n) {
                recurrent(trace, w_hh_, p, C::h_gate, trace.h_at(s - 1), z_.output_row, C::h_first, s, i, n);
                if (z_.batch > 1) after_product<Keep>(trace, units_of(w_hh_, p), s, i, n);
            });
        // One row alone: all products first, so that the gates of several vectors overlap.
        if (z_.batch == 1 && active && panels.end > panels.begin)
            after_product<Keep>(trace, {units_of(w_hh_, panels.begin).begin, units_of(w_hh_, panels.end - 1).end}, s, 0,
                                1);
        if constexpr (C::two_products) {
            split.meet();
            const Range last = split.panels(w_last_.count());
            for (Index p = last.begin; p < last.end; ++p)
                split.rows(active, [&](Index i, Index n) {
                    recurrent(trace, w_last_, p, C::last_gate, trace.aux_at(s), z_.hidden_row, 0, s, i, n);
                    pointwise<Keep>(trace, units_of(w_last_, p), s, i, n);
                });
        }
        if (z_.projected) {
            split.meet();
            const Range out = split.panels(w_hr_.count());
            for (Index p = out.begin; p < out.end; ++p)
                split.rows(active, [&](Index i, Index n) { project_output(trace, p, s, i, n); });
        }
        split.meet();
    }

    template <bool Keep>
    ELMAN_INLINE void after_product(const Trace<C>& trace, Range units, Index s, Index i, Index n) {
        if constexpr (C::two_products)
            reset(trace, units, s, i, n);
        else
            pointwise<Keep>(trace, units, s, i, n);
    }

    /// Adds the recurrent product of panel p to the slots of ranks [i, i + n).
    void recurrent(const Trace<C>& trace, const Panels<S>& w, Index p, const int* gate, const S* from, Index from_row,
                   int slot, Index s, Index i, Index n) {
        S* c = trace.slots_at(s) + i * z_.slot_row + slot * z_.step;
        const S* a = from + i * from_row;
        const Range units = units_of(w, p);
        if (w.data) {
            const Index vec = w.gates > 1 ? z_.step : lanes<S>;
            S* at = c + units.begin;
            return multiply<S>({a, from_row, 1, w.depth, 0, w.panel(p), at, z_.slot_row, vec, at, z_.slot_row, vec},
                               w.width(p), n);
        }
        const S* direct = static_cast<const S*>(d_.parameters().w_hh);
        for (Index r = 0; r < n; ++r)
            for (int g = 0; g < w.gates; ++g) {
                S* y = c + r * z_.slot_row + g * z_.step;
                multiply_direct(direct + gate[g] * z_.hidden * w.depth, z_.hidden, w.depth, a + r * from_row, y, y,
                                units.begin, units.end);
            }
    }

    void project_output(const Trace<C>& trace, Index p, Index s, Index i, Index n) {
        const S* a = trace.aux_at(s) + i * z_.hidden_row;
        S* c = trace.h_at(s) + i * z_.output_row;
        const Range units = units_of(w_hr_, p);
        if (w_hr_.data)
            return multiply<S>({a, z_.hidden_row, 1, z_.hidden, 0, w_hr_.panel(p), zeros<S>, 0, 0, c + units.begin,
                                z_.output_row, lanes<S>},
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

    template <bool Keep>
    ELMAN_INLINE void pointwise(const Trace<C>& trace, Range units, Index s, Index i, Index n) {
        S* h = z_.projected ? trace.aux_at(s) : trace.h_at(s);
        const Index h_row = z_.projected ? z_.hidden_row : z_.output_row;
        const S *h_prev = trace.h_at(s - 1), *c_prev = C::has_cell ? trace.c_at(s - 1) : nullptr;
        S *c = C::has_cell ? trace.c_at(s) : nullptr, *slots = trace.slots_at(s);
        for (Index u = units.begin; u < units.end; u += lanes<S>)
            for (Index r = i; r < i + n; ++r)
                C::template forward<Keep>(slots + r * z_.slot_row + u, z_.step, h_prev + r * z_.output_row + u,
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
    bool keep_, direct_, once_ = false;
    Index chunk_;
    Trace<C> trace_;
    Panels<S> w_ih_, w_hh_, w_last_, w_hr_;
    SymbolTable<C> table_;
    S *bias_ = nullptr, *panels_ = nullptr;
    const S* x_ = nullptr;
    Index x_row_ = 0;
    S* x_window_ = nullptr;
};

}  // namespace elman::ELMAN_ISA
