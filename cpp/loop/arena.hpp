// Scratch memory of one thread, kept between calls: no allocation and no page fault once it has seen the largest call.
#pragma once

#include <cstddef>
#include <cstdint>

namespace elman {

using Index = std::int64_t;

class Arena {
public:
    /// The calling thread's own.
    static Arena& mine();

    /// 64-byte aligned, uninitialised, valid until reset().
    void* take(std::size_t bytes);
    void reset();
    ~Arena();

private:
    struct Block;
    Block* last_ = nullptr;
    std::size_t used_ = 0;
    std::size_t total_ = 0;
};

/// Resets the arena at the end of a call.
struct ArenaScope {
    Arena& arena = Arena::mine();
    ~ArenaScope() { arena.reset(); }
};

/// Bytes of the second-level cache of one core.
Index cache_bytes();

/// `bytes` on huge pages where the system has them.
void* map_pages(std::size_t bytes);
void unmap_pages(void* address);

}  // namespace elman
