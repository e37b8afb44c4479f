#include "loop/plan.hpp"

namespace elman {

Plan Plan::make(const Call& call, Arena& arena) {
    const auto array = [&](Index n) {
        return static_cast<Index*>(arena.take(static_cast<std::size_t>(n) * sizeof(Index)));
    };
    const Index batch = call.batch, steps = call.steps;
    Index *active = array(steps + 1), *offset = array(steps + 1), *order = array(batch), *length = array(batch);
    bool even = true;
    for (Index b = 0; call.lengths && even && b < batch; ++b) even = call.lengths[b] == steps;
    if (even) {
        for (Index b = 0; b < batch; ++b) {
            order[b] = b;
            length[b] = steps;
        }
        for (Index s = 0; s < steps; ++s) active[s] = batch;
    } else {
        for (Index s = 0; s <= steps; ++s) active[s] = 0;
        for (Index b = 0; b < batch; ++b)
            for (Index s = 0; s < call.lengths[b]; ++s) ++active[s];
        // active[n] rows are longer than n steps: they come before the rows of n steps, which keep their order.
        Index* next = array(steps + 1);
        for (Index s = 0; s <= steps; ++s) next[s] = active[s];
        for (Index b = 0; b < batch; ++b) {
            const Index rank = next[call.lengths[b]]++;
            order[rank] = b;
            length[rank] = call.lengths[b];
        }
    }
    offset[0] = 0;
    for (Index s = 0; s < steps; ++s) offset[s + 1] = offset[s] + active[s];
    const Index longest = batch ? length[0] : 0;
    return {longest, active, offset, order, length, even};
}

}  // namespace elman
