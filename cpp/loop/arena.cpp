#include "loop/arena.hpp"

#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace elman {

namespace {
constexpr std::size_t huge = std::size_t(2) << 20;
constexpr std::size_t header = 64;

std::size_t rounded(std::size_t bytes) {
    const std::size_t page = bytes >= huge ? huge : 4096;
    return (bytes + page - 1) / page * page;
}
}  // namespace

void* map_pages(std::size_t bytes) {
    const std::size_t size = rounded(bytes);
    void* address = std::aligned_alloc(size >= huge ? huge : 4096, size);
    if (!address) throw std::bad_alloc();
#if defined(__linux__)
    if (size >= huge) madvise(address, size, MADV_HUGEPAGE);
#endif
    return address;
}

Index cache_bytes() {
    static const Index bytes = [] {
#if defined(_SC_LEVEL2_CACHE_SIZE)
        const long found = sysconf(_SC_LEVEL2_CACHE_SIZE);
        if (found > 0) return static_cast<Index>(found);
#endif
        return Index(1) << 20;
    }();
    return bytes;
}

void unmap_pages(void* address) {
    std::free(address);
}

struct Arena::Block {
    Block* before;
    std::size_t size;
};

Arena& Arena::mine() {
    static thread_local Arena arena;
    return arena;
}

void* Arena::take(std::size_t bytes) {
    bytes = (bytes + 127) / 64 * 64;  // one line of slack: a last vector may be read past its end
    total_ += bytes;
    if (!last_ || used_ + bytes > last_->size) {
        const std::size_t size = rounded(bytes + header);
        auto* block = static_cast<Block*>(map_pages(size));
        *block = {last_, size};
        last_ = block;
        used_ = header;
    }
    void* address = reinterpret_cast<char*>(last_) + used_;
    used_ += bytes;
    return address;
}

void Arena::reset() {
    // A call that needed several blocks gets one of the whole size for its next time.
    if (last_ && last_->before) {
        while (last_) {
            Block* before = last_->before;
            unmap_pages(last_);
            last_ = before;
        }
        const std::size_t size = rounded(total_ + header);
        last_ = static_cast<Block*>(map_pages(size));
        *last_ = {nullptr, size};
    }
    used_ = header;
    total_ = 0;
}

Arena::~Arena() {
    while (last_) {
        Block* before = last_->before;
        unmap_pages(last_);
        last_ = before;
    }
}

}  // namespace elman
