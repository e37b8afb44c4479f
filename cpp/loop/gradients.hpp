// Parameter gradients of one direction: products over all real steps, chunk by chunk, each element summed by one thread
// in the same order whatever the number of threads.
#pragma once

#include "loop/symbols.hpp"

namespace elman::ELMAN_ISA {

template <class C>
class Gradients {
    using S = typename C::S;

public:
    Gradients(const Direction& d, const Sizes<C>& z, Index chunk, int threads, bool pairs, Arena& arena)
        : d_(d), z_(z), want_(d.call->gradients[d.number]), pairs_(pairs), high_(pairs ? pair_tile_rows : packed_rows) {
        if (want_.w_ih && d.call->symbols) {
            symbols_ = Symbols(d, arena);
            table_ = take<S>(arena, symbols_.distinct * z.slot_row);
        }
        if (want_.w_ih && !d.call->symbols) plain_[0] = Panels<S>::make(chunk, z.input, 1, arena);
        if (want_.w_hh) plain_[1] = Panels<S>::make(chunk, z.output, 1, arena);
        if ((want_.w_hh && C::two_products) || want_.w_hr) plain_[2] = Panels<S>::make(chunk, z.hidden, 1, arena);
        for (int n = 0; n < 3; ++n)
            if (pairs_ && plain_[n].data) paired_[n] = make_panels<S>(true, 1, chunk, plain_[n].units, 1, arena, true);
        bias_ = take<S>(arena, z.slot_row);
        tile_row_ = (chunk + lanes<S>)*high_ + 64;
        tiles_ = take<S>(arena, threads * block_tiles * tile_row_);
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
        const Panels<S> x = plain_[0].cut(chunk.rows), h = plain_[1].cut(chunk.rows), aux = plain_[2].cut(chunk.rows);
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

    /// Rounds what `pack` laid out.
    void pair(const Chunk& chunk, int me, int parts) const {
        if constexpr (sizeof(S) == 4)
            for (int n = 0; n < 3; ++n) {
                if (!paired_[n].data) continue;
                const Panels<S> from = plain_[n].cut(chunk.rows), to = paired_[n].cut(pair_rows(1, chunk.rows));
                for (Index p = me; p < from.count(); p += parts)
                    to_pairs(from.panel(p), 1, chunk.rows, from.width(p), to.panel(p));
            }
    }

    /// Adds a chunk: grad_slots [row][slot_row], grad_h [row][output_row] (read for a projection only).
    void accumulate(const S* grad_slots, const S* grad_h, const Chunk& chunk, int me, int parts) const {
        const bool first = chunk.to == d_.plan->steps;
        const Index per_slot = tiles(z_.hidden);
        const int from = plain_[0].data || C::two_products ? 0 : C::h_first;  // no symbol's slot has a product
        const Range mine = share((C::slots - from) * per_slot, me, parts);
        Tile block[block_tiles];
        for (Index begin = mine.begin; begin < mine.end; begin += block_tiles) {
            const Index count = mine.end - begin < block_tiles ? mine.end - begin : block_tiles;
            for (Index n = 0; n < count; ++n) {
                const Index t = begin + n, unit = t % per_slot * high_;
                const int slot = from + static_cast<int>(t / per_slot);
                block[n] = fill(n, me, chunk.rows, grad_slots + slot * z_.step, z_.slot_row, z_.hidden, unit);
                block[n].slot = slot;
            }
            slot_products(block, count, first);
        }
        const Range out = share(want_.w_hr ? tiles(z_.output) : 0, me, parts);
        for (Index begin = out.begin; begin < out.end; begin += block_tiles) {
            const Index count = out.end - begin < block_tiles ? out.end - begin : block_tiles;
            for (Index n = 0; n < count; ++n) {
                const Index unit = (begin + n) * high_;
                block[n] = fill(n, me, chunk.rows, grad_h, z_.output_row, z_.output, unit);
                block[n].to = static_cast<S*>(want_.w_hr) + unit * z_.hidden;
            }
            product(block, count, first, 2, z_.hidden);
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
            for (Index n = 0; table_ && n < symbols_.distinct; ++n)
                add(bias_, table_ + n * z_.slot_row, C::slots * z_.step);
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
    /// Some columns of the gradient of a chunk, [k][column], of one slot from `unit` on, and the rows they add to.
    struct Tile {
        S* data;
        Index depth, unit;
        int slot, rows;
        S* to;
    };

    static constexpr Index block_tiles = 8;  // tiles that share a panel while it is in the cache

    Index tiles(Index n) const { return (n + high_ - 1) / high_; }
    int height(Index n, Index at) const { return static_cast<int>(n - at < high_ ? n - at : high_); }

    /// The products of some tiles with every factor of their slots.
    void slot_products(const Tile* tiles, Index count, bool first) const {
        Tile some[block_tiles];
        const auto with = [&](int factor, void* to, Index width, auto gate) {
            Index chosen = 0;
            for (Index n = 0; plain_[factor].data && to && n < count; ++n)
                if (const int g = gate(tiles[n].slot); g >= 0) {
                    some[chosen] = tiles[n];
                    some[chosen++].to = static_cast<S*>(to) + (g * z_.hidden + tiles[n].unit) * width;
                }
            product(some, chosen, first, factor, width);
        };
        with(0, want_.w_ih, z_.input, [](int slot) { return slot < C::x_gates ? C::x_gate[slot] : -1; });
        with(1, want_.w_hh, z_.output, [](int slot) {
            const int n = slot - C::h_first;
            return n >= 0 && n < C::h_gates ? C::h_gate[n] : -1;
        });
        if (C::two_products) with(2, want_.w_hh, z_.output, [](int slot) { return slot == 0 ? C::last_gate[0] : -1; });
    }

    /// Lays the columns from `unit` on, of `units`, out as tile n of a thread.
    Tile fill(Index n, int me, Index depth, const S* grad, Index grad_row, Index units, Index unit) const {
        const int rows = height(units, unit);
        S* data = tiles_ + (me * block_tiles + n) * tile_row_;
        const S* from = grad + unit;
        for (Index k = 0; pairs_ && k < depth; k += lanes<S>)
            transpose_column(from + k * grad_row, grad_row, depth - k < lanes<S> ? depth - k : lanes<S>, rows, data + k,
                             padded<S>(depth));
        // Whole vectors: what is too much of one is written over by the next, the last has room in its tile, and what
        // is read past the slots is the slack of Arena::take.
        for (Index k = 0; !pairs_ && k < depth; ++k)
            for (int r = 0; r < rows; r += int(lanes<S>)) store(data + k * rows + r, load(from + k * grad_row + r));
        return {data, depth, unit, 0, rows, nullptr};
    }

    /// to (rows, columns) = (first) or += tile^T factor, for some tiles.
    void product(const Tile* tiles, Index count, bool first, int factor, Index columns) const {
        constexpr Index wide = panel_width * lanes<S>;
        alignas(64) S result[pair_tile_rows * wide];
        if (!count) return;
        const Index depth = tiles[0].depth;
        const Panels<S> from = pairs_ ? paired_[factor].cut(pair_rows(1, depth)) : plain_[factor].cut(depth);
        for (Index p = 0; p < from.count(); ++p) {
            const Index start = from.first(p) * lanes<S>, all = from.width(p) * lanes<S>;
            const Index n = columns - start < all ? columns - start : all;
            for (Index t = 0; t < count; ++t) {
                const Tile& tile = tiles[t];
                const S* ahead = from.slice(p + 1 < from.count() ? p + 1 : 0, t);
                const Product<S> one{tile.data, padded<S>(depth), 1,    depth,    0,    from.panel(p), zeros<S>, 0,
                                     0,         result,           wide, lanes<S>, ahead};
                if (pairs_)
                    multiply_either<S>(true, one, from.width(p), tile.rows);
                else
                    multiply_packed<S>(one, from.width(p), tile.rows);
                for (int r = 0; r < tile.rows; ++r) {
                    S* row = tile.to + r * columns + start;
                    first ? copy(row, result + r * wide, n) : add(row, result + r * wide, n);
                }
            }
        }
    }

    /// Bias gradients, or the table's, whose rows sum up to them: sums over the rows of the chunk for some units.
    void sum_rows(const S* grad, const Chunk& chunk, Range units) const {
        if (table_) {
            const std::int32_t* number = symbols_.number + d_.plan->offset[chunk.from];
            for (Index r = 0; r < chunk.rows; ++r)
                add_rows<1>(table_ + number[r] * z_.slot_row, grad + r * z_.slot_row, 1, units);
        } else {
            const Index most = units.begin + (units.end - units.begin) / (8 * lanes<S>)*(8 * lanes<S>);
            add_rows<8>(bias_, grad, chunk.rows, {units.begin, most});
            add_rows<1>(bias_, grad, chunk.rows, {most, units.end});
        }
    }

    /// Adds `rows` rows of the slots to one, N vectors at once.
    template <int N>
    ELMAN_INLINE void add_rows(S* to, const S* from, Index rows, Range units) const {
        for (Index u = units.begin; u < units.end; u += N * lanes<S>) {
            Vec<S> sum[N];
            for (int n = 0; n < N; ++n) sum[n] = load(to + u + n * lanes<S>);
            for (Index r = 0; r < rows; ++r)
#pragma GCC unroll 8
                for (int n = 0; n < N; ++n) sum[n] += load(from + r * z_.slot_row + u + n * lanes<S>);
            for (int n = 0; n < N; ++n) store(to + u + n * lanes<S>, sum[n]);
        }
    }

    Direction d_;
    Sizes<C> z_;
    ParameterGradients want_;
    Symbols symbols_;
    bool pairs_;
    Index high_;                      ///< rows of a tile
    Panels<S> plain_[3], paired_[3];  ///< by Factor
    S *table_ = nullptr, *bias_ = nullptr, *tiles_ = nullptr;
    Index tile_row_ = 0;
};

}  // namespace elman::ELMAN_ISA
