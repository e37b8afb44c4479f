// Large memory that is lent and comes back: what forward keeps for backward is as large in every training step, and
// fresh pages from the system would cost a page fault each.
#pragma once

#include <cstddef>

namespace elman {

/// 64-byte aligned, uninitialised memory of at least `bytes`; give it back with return_buffer.
void* lend_buffer(std::size_t bytes);
void return_buffer(void* buffer);

}  // namespace elman
