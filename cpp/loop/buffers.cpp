#include "loop/buffers.hpp"

#include <mutex>

#include "loop/arena.hpp"

namespace elman {

namespace {

struct Header {
    std::size_t size;  // usable bytes
    Header* next;
};
constexpr std::size_t header = 64;
constexpr std::size_t most_idle = std::size_t(1) << 30;

std::mutex guard;  // only ever tried: whoever does not get it, a forked child too, goes to the system instead
Header* idle = nullptr;
std::size_t idle_bytes = 0;

Header* take_idle(std::size_t bytes) {
    const std::unique_lock<std::mutex> lock(guard, std::try_to_lock);
    if (!lock) return nullptr;
    Header** best = nullptr;
    for (Header** at = &idle; *at; at = &(*at)->next)
        if ((*at)->size >= bytes && (*at)->size / 2 <= bytes && (!best || (*at)->size < (*best)->size)) best = at;
    if (!best) return nullptr;
    Header* found = *best;
    *best = found->next;
    idle_bytes -= found->size;
    return found;
}

}  // namespace

void* lend_buffer(std::size_t bytes) {
    Header* block = take_idle(bytes);
    if (!block) {
        block = static_cast<Header*>(map_pages(bytes + header));
        block->size = bytes;
    }
    return reinterpret_cast<char*>(block) + header;
}

void return_buffer(void* buffer) {
    auto* block = reinterpret_cast<Header*>(static_cast<char*>(buffer) - header);
    {
        const std::unique_lock<std::mutex> lock(guard, std::try_to_lock);
        if (lock && idle_bytes + block->size <= most_idle) {
            block->next = idle;
            idle = block;
            idle_bytes += block->size;
            return;
        }
    }
    unmap_pages(block);
}

}  // namespace elman
