// A small pool of threads of our own: a call borrows it whole or runs alone, so results never wait for another pool.
#pragma once

#include <atomic>

namespace elman {

/// The threads that work on one call; thread 0 is the caller.
class Team {
public:
    explicit Team(int size) : size(size) {}
    const int size;

    /// All threads of the team arrive before any goes on.
    void barrier();
    /// The same after one step of many: how long it takes tells whether meeting so often is wise.
    void meet();
    /// Whether the team met after steps, and whether a thread then waited so long that another was not running.
    bool met() const { return met_.load(std::memory_order_relaxed); }
    bool stalled() const { return stalled_.load(std::memory_order_relaxed); }

private:
    bool wait();
    std::atomic<int> arrived_{0};
    std::atomic<bool> met_{false}, stalled_{false};
    alignas(64) std::atomic<unsigned> round_{0};
};

/// Runs work(context, team, me) for me = 0 .. threads - 1 and returns when all are done. The team is smaller than
/// asked for, down to the caller alone, when another call holds the pool or the system gives no more threads.
void run_team(int threads, void (*work)(void* context, Team& team, int me), void* context);

/// Whether a call that meets at every step should use several threads now. After one that stalled (the processors were
/// busy with something else) such calls stay on one thread for a while, longer each time it happens again.
bool meeting_is_cheap();

}  // namespace elman
