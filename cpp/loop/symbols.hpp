// Integer input: the product with a one-hot vector is a row of a table, one row for each distinct symbol of the call.
#pragma once

#include "loop/layer.hpp"

namespace elman::ELMAN_ISA {

/// Numbers the distinct symbols of a call in the order they are met.
struct Symbols {
    Index distinct = 0;
    const std::int32_t* number = nullptr;  ///< [real steps] by (step, rank): row of the table
    const std::int64_t* symbol = nullptr;  ///< [distinct]

    Symbols() = default;
    Symbols(const Direction& d, Arena& arena) {
        const Call& call = *d.call;
        const Index total = d.plan->offset[d.plan->steps];
        auto* row = take<std::int32_t>(arena, call.input);
        auto* of_step = take<std::int32_t>(arena, total);
        auto* met = take<std::int64_t>(arena, call.input < total ? call.input : total);
        for (Index v = 0; v < call.input; ++v) row[v] = -1;
        for (Index s = 0; s < d.plan->steps; ++s)
            for (Index i = 0; i < d.plan->active[s]; ++i) {
                const std::int64_t v = call.symbols[d.at(s, i, call.x_step, call.x_row)];
                if (row[v] < 0) {
                    row[v] = static_cast<std::int32_t>(distinct);
                    met[distinct++] = v;
                }
                of_step[d.plan->offset[s] + i] = row[v];
            }
        number = of_step;
        symbol = met;
    }
};

/// The table of forward: every slot of a row before the first recurrent product, biases included.
template <class C>
struct SymbolTable {
    using S = typename C::S;
    Symbols symbols;
    S* rows = nullptr;  ///< [distinct][slot_row]

    SymbolTable() = default;
    SymbolTable(const Direction& d, const Sizes<C>& z, Arena& arena) : symbols(d, arena) {
        rows = take<S>(arena, symbols.distinct * z.slot_row);
    }

    void fill(const Sizes<C>& z, const S* w_ih, const S* bias, Range which) const {
        for (Index n = which.begin; n < which.end; ++n) {
            S* row = rows + n * z.slot_row;
            copy(row, bias, C::slots * z.step);
            for (int g = 0; g < C::x_gates; ++g) {
                const S* column = w_ih + C::x_gate[g] * z.hidden * z.input + symbols.symbol[n];
                for (Index u = 0; u < z.hidden; ++u) row[g * z.step + u] += column[u * z.input];
            }
        }
    }
};

}  // namespace elman::ELMAN_ISA
