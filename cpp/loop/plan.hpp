// Which rows run at which step. Rows are ranked by length, longest first, so that the rows still running at a step are
// the first ones; a finished row costs nothing. Nothing here depends on the number of threads.
#pragma once

#include "loop/arena.hpp"
#include "loop/call.hpp"

namespace elman {

struct Plan {
    Index steps;          ///< the longest row's
    const Index* active;  ///< [steps] rows running at a step
    const Index* offset;  ///< [steps + 1] real steps before it: (step, rank) is number offset[step] + rank
    const Index* order;   ///< [batch] rank -> row of the batch
    const Index* length;  ///< [batch] rank -> steps
    bool even;            ///< all rows run all steps and keep their order

    static Plan make(const Call& call, Arena& arena);
};

}  // namespace elman
