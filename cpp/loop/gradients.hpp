// Parameter gradients of one direction: products over all real steps, chunk by chunk, each element summed by one thread
// in the same order whatever the number of threads.
#pragma once

#include "loop/symbols.hpp"

namespace elman::ELMAN_ISA {

template <class C>
class Gradients {
    using S = typename C::S;

public:
    Gradients(const Direction& d, const Sizes<C>& z, Index chunk, int threads, Arena& arena)
        : d_(d), z_(z), want_(d.call->gradients[d.number]) {
        if (want_.w_ih && d.call->symbols) {
            symbols_ = Symbols(d, arena);
            table_ = take<S>(arena, symbols_.distinct * z.slot_row);
        }
        if (want_.w_ih && !d.call->symbols) x_ = Panels<S>::make(chunk, z.input, 1, arena);
        if (want_.w_hh) h_ = Panels<S>::make(chunk, z.output, 1, arena);
        if ((want_.w_hh && C::two_products) || want_.w_hr) aux_ = Panels<S>::make(chunk, z.hidden, 1, arena);
        bias_ = take<S>(arena, z.slot_row);
        tile_row_ = chunk * packed_rows + 64;
        tiles_ = take<S>(arena, threads * tile_row_);
    }

    bool wanted() const { return want_.w_ih || want_.w_hh || want_.b_ih || want_.b_hh || want_.w_hr; }

    void begin(int me, int parts) {
        if (me == 0) clear(bias_, z_.slot_row);
        const Range symbols = share(symbols_.distinct, me, parts);
        if (table_) clear(table_ + symbols.begin * z_.slot_row, (symbols.end - symbols.begin) * z_.slot_row);
        if (d_.plan->steps) return;  // the first chunk writes; without one the gradients are zero
        const Parameters& w = d_.parameters();
        const Index rows = C::gates * z_.hidden;
        if (me) return;
        if (want_.w_ih && !table_) clear(static_cast<S*>(want_.w_ih), rows * z_.input);
        if (want_.w_hh) clear(static_cast<S*>(want_.w_hh), rows * z_.output);
        if (want_.w_hr && w.w_hr) clear(static_cast<S*>(want_.w_hr), z_.output * z_.hidden);
    }

    /// Lays the factors of a chunk out for `accumulate`.
    void pack(const Trace<C>& trace, const Chunk& chunk, Range rows) const {
        const Call& call = *d_.call;
        const Panels<S> x = x_.cut(chunk.rows), h = h_.cut(chunk.rows), aux = aux_.cut(chunk.rows);
        each_step(*d_.plan, chunk, rows, [&](Index s, Index i, Index n, Index row) {
            for (Index p = 0; p < h.count(); ++p)
                pack_rows(h, p, row, trace.h_at(s - 1) + i * z_.output_row, z_.output_row, n, z_.output);
            for (Index p = 0; p < aux.count(); ++p)
                pack_rows(aux, p, row, trace.aux_at(s) + i * z_.hidden_row, z_.hidden_row, n, z_.hidden);
            for (Index k = 0; x.data && k < n; ++k) {
                const S* from = static_cast<const S*>(call.x) + d_.at(s, i + k, call.x_step, call.x_row);
                for (Index p = 0; p < x.count(); ++p) pack_rows(x, p, row + k, from, 0, 1, z_.input);
            }
        });
    }

    /// Adds a chunk: grad_slots [row][slot_row], grad_h [row][output_row] (read for a projection only).
    void accumulate(const S* grad_slots, const S* grad_h, const Chunk& chunk, int me, int parts) const {
        const Tile tile{tiles_ + me * tile_row_, chunk.rows, chunk.to == d_.plan->steps};
        const Index per_slot = tiles(z_.hidden);
        const Range mine = share(C::slots * per_slot, me, parts);
        for (Index t = mine.begin; t < mine.end; ++t)
            slot_tile(tile, grad_slots, static_cast<int>(t / per_slot), t % per_slot * packed_rows);
        const Range out = share(want_.w_hr ? tiles(z_.output) : 0, me, parts);
        for (Index t = out.begin; t < out.end; ++t) {
            const Index unit = t * packed_rows;
            const int rows = height(z_.output, unit);
            fill(tile, grad_h + unit, z_.output_row, rows);
            product(tile, aux_, rows, static_cast<S*>(want_.w_hr) + unit * z_.hidden, z_.hidden);
        }
        const Range vectors = share(C::slots * z_.step / lanes<S>, me, parts);
        sum_rows(grad_slots, chunk, {vectors.begin * lanes<S>, vectors.end * lanes<S>});
    }

    /// Writes what was summed in scratch: biases and the table of symbols.
    void finish(int me, int parts) {
        const auto write = [&](void* to, int gate, int slot) {
            if (to) copy(static_cast<S*>(to) + gate * z_.hidden, bias_ + slot * z_.step, z_.hidden);
        };
        if (me == 0) {
            for (int g = 0; g < C::x_gates; ++g) write(want_.b_ih, C::x_gate[g], g);
            for (int g = 0; g < C::h_gates; ++g) write(want_.b_hh, C::h_gate[g], C::h_first + g);
            if (C::two_products) write(want_.b_hh, C::last_gate[0], 0);
        }
        if (!table_) return;
        const Range units = share(z_.hidden, me, parts);
        for (int g = 0; g < C::x_gates; ++g)
            for (Index u = units.begin; u < units.end; ++u) {
                S* row = static_cast<S*>(want_.w_ih) + (C::x_gate[g] * z_.hidden + u) * z_.input;
                clear(row, z_.input);
                for (Index n = 0; n < symbols_.distinct; ++n)
                    row[symbols_.symbol[n]] = table_[n * z_.slot_row + g * z_.step + u];
            }
    }

private:
    /// Some columns of the gradient of a chunk, [k][column]; `first`: the chunk that overwrites.
    struct Tile {
        S* data;
        Index depth;
        bool first;
    };

    static Index tiles(Index n) { return (n + packed_rows - 1) / packed_rows; }
    static int height(Index n, Index at) { return static_cast<int>(n - at < packed_rows ? n - at : packed_rows); }

    void slot_tile(const Tile& tile, const S* grad_slots, int slot, Index unit) const {
        const bool to_x = x_.data && slot < C::x_gates;
        const bool to_h = h_.data && slot >= C::h_first && slot < C::h_first + C::h_gates;
        const bool to_aux = C::two_products && h_.data && slot == 0;
        if (!to_x && !to_h && !to_aux) return;
        const int rows = height(z_.hidden, unit);
        fill(tile, grad_slots + slot * z_.step + unit, z_.slot_row, rows);
        const auto row = [&](void* to, int gate, Index width) {
            return static_cast<S*>(to) + (gate * z_.hidden + unit) * width;
        };
        if (to_x) product(tile, x_, rows, row(want_.w_ih, C::x_gate[slot], z_.input), z_.input);
        if (to_h) product(tile, h_, rows, row(want_.w_hh, C::h_gate[slot - C::h_first], z_.output), z_.output);
        if (to_aux) product(tile, aux_, rows, row(want_.w_hh, C::last_gate[0], z_.output), z_.output);
    }

    static void fill(const Tile& tile, const S* grad, Index grad_row, int rows) {
        for (Index k = 0; k < tile.depth; ++k)
            for (int r = 0; r < rows; ++r) tile.data[k * rows + r] = grad[k * grad_row + r];
    }

    /// to (rows, columns) = or += tile^T factor.
    static void product(const Tile& tile, const Panels<S>& factor, int rows, S* to, Index columns) {
        constexpr Index wide = panel_width * lanes<S>;
        alignas(64) S result[packed_rows * wide];
        const Panels<S> from = factor.cut(tile.depth);
        for (Index p = 0; p < from.count(); ++p) {
            multiply_packed<S>({tile.data, 0, 1, tile.depth, 0, from.panel(p), zeros<S>, 0, 0, result, wide, lanes<S>},
                               from.width(p), rows);
            const Index start = from.first(p) * lanes<S>, all = from.width(p) * lanes<S>;
            const Index n = columns - start < all ? columns - start : all;
            for (int r = 0; r < rows; ++r) {
                S* row = to + r * columns + start;
                tile.first ? copy(row, result + r * wide, n) : add(row, result + r * wide, n);
            }
        }
    }

    /// Bias gradients, and the table's: sums over the rows of the chunk for the units of one thread.
    void sum_rows(const S* grad, const Chunk& chunk, Range units) const {
        for (Index u = units.begin; u < units.end; u += lanes<S>) {
            Vec<S> sum{};
            for (Index r = 0; r < chunk.rows; ++r) sum += load(grad + r * z_.slot_row + u);
            store(bias_ + u, load(bias_ + u) + sum);
        }
        if (!table_) return;
        const std::int32_t* number = symbols_.number + d_.plan->offset[chunk.from];
        for (Index r = 0; r < chunk.rows; ++r)
            for (Index u = units.begin; u < units.end; u += lanes<S>) {
                S* to = table_ + number[r] * z_.slot_row + u;
                store(to, load(to) + load(grad + r * z_.slot_row + u));
            }
    }

    Direction d_;
    Sizes<C> z_;
    ParameterGradients want_;
    Symbols symbols_;
    Panels<S> x_, h_, aux_;
    S *table_ = nullptr, *bias_ = nullptr, *tiles_ = nullptr;
    Index tile_row_ = 0;
};

}  // namespace elman::ELMAN_ISA
