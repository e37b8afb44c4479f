// Stream for one cell and one storage of the weights.
#pragma once

#include "loop/layer.hpp"
#include "loop/stream.hpp"

namespace elman::ELMAN_ISA {

/// Memory laid out once: the first run over the layout counts, the second hands out.
class Block {
public:
    template <class T>
    T* take(Index n) {
        char* at = base_ ? base_ + used_ : nullptr;
        used_ += (static_cast<std::size_t>(n) * sizeof(T) + 127) / 64 * 64;
        return reinterpret_cast<T*>(at);
    }
    void open() {
        base_ = static_cast<char*>(map_pages(used_));
        used_ = 0;
    }
    ~Block() {
        if (base_) unmap_pages(base_);
    }

private:
    char* base_ = nullptr;
    std::size_t used_ = 0;
};

inline std::uint16_t to_bfloat16(float value) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, &value, 4);
    if (value != value) return static_cast<std::uint16_t>(bits >> 16 | 64);
    return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// A packed weight in storage W, and for int8 the scale of every output value.
template <class S, class W>
struct Stored {
    Panels<S> cut;  ///< without data: how the columns are cut
    W* data = nullptr;
    S* scale = nullptr;  ///< [gate][step], int8 only
    Index step = 0;

    static constexpr bool scaled = sizeof(W) == 1;

    void lay(Index depth, Index units, int gates, Block& block) {
        cut = {nullptr, depth, units, padded<S>(units) / lanes<S>, gates, 0};
        step = padded<S>(units);
        data = block.take<W>(depth * step * gates);
        if (scaled) scale = block.take<S>(step * gates);
    }

    /// W^T of gates g_of of weight (gates * units, depth).
    void fill(const S* weight, const int* g_of, Arena& arena) {
        const Index units = cut.units, rows = units * cut.gates;
        S* copied = take<S>(arena, rows * cut.depth);
        S* panel = take<S>(arena, cut.panel_size());
        int order[4];
        for (int g = 0; g < cut.gates; ++g) {
            order[g] = g;
            for (Index u = 0; u < units; ++u)
                prepare(weight + (g_of[g] * units + u) * cut.depth, copied + (g * units + u) * cut.depth, g * step + u);
        }
        for (Index p = 0; p < cut.count(); ++p) {
            pack_transposed(cut.only(p, panel), p, copied, units, order);
            W* to = at(p);
            for (Index k = 0; k < cut.depth * cut.width(p) * lanes<S>; ++k) to[k] = stored(panel[k]);
        }
    }

    /// c += a W for n rows; scratch holds n rows of c.
    void add(const S* a, Index a_row, S* c, Index c_row, S* scratch, Index n) const {
        const Index vec = cut.gates > 1 ? step : lanes<S>;
        for (Index p = 0; p < cut.count(); ++p) {
            const Index unit = units_of(cut, p).begin;
            Product<S, W> product{a, a_row, 1, cut.depth, 0, at(p), c + unit, c_row, vec, c + unit, c_row, vec};
            if (scaled) {
                product.c = scratch + unit;
                product.init = zeros<S>;
                product.init_row = product.init_vec = 0;
            }
            if (n == 1)
                multiply_single(product, cut.width(p), cut.width(p) * lanes<S>);
            else
                multiply(product, cut.width(p), n);
        }
        if (!scaled) return;
        for (Index r = 0; r < n; ++r)
            for (Index j = 0; j < step * cut.gates; j += lanes<S>)
                store(c + r * c_row + j, load(c + r * c_row + j) + load(scale + j) * load(scratch + r * c_row + j));
    }

private:
    W* at(Index p) const { return data + cut.first(p) * cut.gates * cut.depth * lanes<S>; }

    void prepare(const S* from, S* to, Index j) {
        if (!scaled) return copy(to, from, cut.depth);
        S largest = 0;
        for (Index k = 0; k < cut.depth; ++k) {
            const S size = from[k] < 0 ? -from[k] : from[k];
            if (size > largest) largest = size;
        }
        scale[j] = largest / S(127);
        for (Index k = 0; k < cut.depth; ++k) to[k] = largest > 0 ? from[k] * (S(127) / largest) : S(0);
    }

    static W stored(S value) {
        if constexpr (sizeof(W) == sizeof(S))
            return value;
        else if constexpr (sizeof(W) == 2)
            return {to_bfloat16(value)};
        else
            return static_cast<W>(value < 0 ? value - S(0.5) : value + S(0.5));
    }
};

template <class C, class W>
class Stepper final : public Stream {
    using S = typename C::S;

public:
    explicit Stepper(const StreamSpec& spec) : spec_(spec), z_(sizes(spec)) {
        lay_out();
        block_.open();
        lay_out();
        ArenaScope scope;
        for (Index l = 0; l < spec.layers; ++l) fill(l, scope.arena);
        spec_.parameters = nullptr;
        for (Index l = 0; l < spec.layers; ++l) {
            clear(layers_[l].h, spec.states * z_.output_row);
            if (C::has_cell) clear(layers_[l].c, spec.states * z_.hidden_row);
        }
    }

    void step(Index n, const std::int64_t* rows, const void* x, const std::int64_t* symbols, void* out) override {
        for (Index first = 0; first < n; first += most) {
            const Index here = n - first < most ? n - first : most;
            const S* from = x ? static_cast<const S*>(x) + first * spec_.input : nullptr;
            some(here, first, rows, from, symbols ? symbols + first : nullptr,
                 static_cast<S*>(out) + first * z_.output);
        }
    }

    void get_state(void* h, void* c) const override {
        for (Index r = 0; r < spec_.layers * spec_.states; ++r) {
            copy(static_cast<S*>(h) + r * z_.output, h_of(r), z_.output);
            if (C::has_cell) copy(static_cast<S*>(c) + r * z_.hidden, c_of(r), z_.hidden);
        }
    }

    void set_state(const void* h, const void* c) override {
        for (Index r = 0; r < spec_.layers * spec_.states; ++r) {
            copy(h_of(r), static_cast<const S*>(h) + r * z_.output, z_.output);
            if (C::has_cell) copy(c_of(r), static_cast<const S*>(c) + r * z_.hidden, z_.hidden);
        }
    }

private:
    static constexpr Index most = 48;  // rows at once: their slots stay in the cache

    struct Layer {
        Stored<S, W> w_ih, w_hh, w_last, w_hr;
        S *bias, *table, *h, *c;
    };

    static Sizes<C> sizes(const StreamSpec& spec) {
        Call call{};
        call.input = spec.input, call.hidden = spec.hidden, call.output = spec.output;
        call.parameters[0] = spec.parameters[0];
        return Sizes<C>::of(call);
    }

    void lay_out() {
        Block& b = block_;
        const Index rows = spec_.states < most ? spec_.states : most;
        layers_ = b.take<Layer>(spec_.layers);
        slots_ = b.take<S>(rows * z_.slot_row);
        scratch_ = b.take<S>(rows * z_.slot_row);
        h_prev_ = b.take<S>(rows * z_.output_row);
        h_ = b.take<S>(rows * z_.output_row);
        c_prev_ = b.take<S>(rows * z_.hidden_row);
        c_ = b.take<S>(rows * z_.hidden_row);
        aux_ = b.take<S>(rows * z_.hidden_row);
        for (Index l = 0; l < spec_.layers; ++l) {
            Layer layer{};
            if (l == 0 && spec_.symbols)
                layer.table = b.take<S>(spec_.input * z_.slot_row);
            else
                layer.w_ih.lay(l ? z_.output : z_.input, z_.hidden, C::x_gates, b);
            layer.w_hh.lay(z_.output, z_.hidden, C::h_gates, b);
            if (C::two_products) layer.w_last.lay(z_.hidden, z_.hidden, 1, b);
            if (z_.projected) layer.w_hr.lay(z_.hidden, z_.output, 1, b);
            layer.bias = b.take<S>(z_.slot_row);
            layer.h = b.take<S>(spec_.states * z_.output_row);
            if (C::has_cell) layer.c = b.take<S>(spec_.states * z_.hidden_row);
            if (layers_) layers_[l] = layer;
        }
    }

    void fill(Index l, Arena& arena) {
        const Parameters& w = spec_.parameters[l];
        Layer& layer = layers_[l];
        static constexpr int first[] = {0};
        const auto* w_ih = static_cast<const S*>(w.w_ih);
        for (int slot = 0; slot < C::slots; ++slot) fill_bias<C>(z_, w, slot, layer.bias + slot * z_.step);
        layer.w_hh.fill(static_cast<const S*>(w.w_hh), C::h_gate, arena);
        if (C::two_products) layer.w_last.fill(static_cast<const S*>(w.w_hh), C::last_gate, arena);
        if (z_.projected) layer.w_hr.fill(static_cast<const S*>(w.w_hr), first, arena);
        if (!layer.table) return layer.w_ih.fill(w_ih, C::x_gate, arena);
        for (Index v = 0; v < spec_.input; ++v) {
            S* row = layer.table + v * z_.slot_row;
            copy(row, layer.bias, z_.slot_row);
            for (int g = 0; g < C::x_gates; ++g)
                for (Index u = 0; u < z_.hidden; ++u)
                    row[g * z_.step + u] += w_ih[(C::x_gate[g] * z_.hidden + u) * spec_.input + v];
        }
    }

    void some(Index n, Index first, const std::int64_t* rows, const S* x, const std::int64_t* symbols, S* out) {
        Index x_row = spec_.input;
        for (Index l = 0; l < spec_.layers; ++l, x = h_, x_row = z_.output_row) {
            const Layer& layer = layers_[l];
            const auto number = [&](Index r) { return rows ? rows[first + r] : first + r; };
            for (Index r = 0; r < n; ++r) {
                copy(slots_ + r * z_.slot_row, layer.table ? layer.table + symbols[r] * z_.slot_row : layer.bias,
                     C::slots * z_.step);
                copy(h_prev_ + r * z_.output_row, layer.h + number(r) * z_.output_row, z_.output_row);
                if (C::has_cell) copy(c_prev_ + r * z_.hidden_row, layer.c + number(r) * z_.hidden_row, z_.hidden_row);
            }
            if (!layer.table) layer.w_ih.add(x, x_row, slots_, z_.slot_row, scratch_, n);
            recur(layer, n);
            for (Index r = 0; r < n; ++r) {
                copy(layer.h + number(r) * z_.output_row, h_ + r * z_.output_row, z_.output_row);
                if (C::has_cell) copy(layer.c + number(r) * z_.hidden_row, c_ + r * z_.hidden_row, z_.hidden_row);
            }
        }
        for (Index r = 0; r < n; ++r) copy(out + r * z_.output, h_ + r * z_.output_row, z_.output);
    }

    /// h_prev_, c_prev_ and the input's part of the slots -> h_ and c_.
    void recur(const Layer& layer, Index n) {
        layer.w_hh.add(h_prev_, z_.output_row, slots_ + C::h_first * z_.step, z_.slot_row, scratch_, n);
        if constexpr (C::two_products) {
            each_vector(n, [&](Index r, Index u) {
                C::reset(slots_ + r * z_.slot_row + u, z_.step, h_prev_ + r * z_.output_row + u,
                         aux_ + r * z_.hidden_row + u);
            });
            layer.w_last.add(aux_, z_.hidden_row, slots_, z_.slot_row, scratch_, n);
        }
        S* h = z_.projected ? aux_ : h_;
        const Index h_row = z_.projected ? z_.hidden_row : z_.output_row;
        each_vector(n, [&](Index r, Index u) {
            C::template forward<Keep::nothing>(slots_ + r * z_.slot_row + u, z_.step, nullptr, 0,
                                               h_prev_ + r * z_.output_row + u, h + r * h_row + u,
                                               c_prev_ + r * z_.hidden_row + u, c_ + r * z_.hidden_row + u);
        });
        if (!z_.projected) return;
        clear(h_, n * z_.output_row);
        layer.w_hr.add(aux_, z_.hidden_row, h_, z_.output_row, scratch_, n);
    }

    template <class F>
    ELMAN_INLINE void each_vector(Index n, F run) {
        for (Index r = 0; r < n; ++r)
            for (Index u = 0; u < z_.step; u += lanes<S>) run(r, u);
    }

    S* h_of(Index r) const { return layers_[r / spec_.states].h + r % spec_.states * z_.output_row; }
    S* c_of(Index r) const { return layers_[r / spec_.states].c + r % spec_.states * z_.hidden_row; }

    StreamSpec spec_;
    Sizes<C> z_;
    Block block_;
    Layer* layers_ = nullptr;
    S *slots_ = nullptr, *scratch_ = nullptr, *h_prev_ = nullptr, *h_ = nullptr, *c_prev_ = nullptr, *c_ = nullptr;
    S* aux_ = nullptr;
};

}  // namespace elman::ELMAN_ISA
