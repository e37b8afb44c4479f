#include "loop/team.hpp"

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace elman {

namespace {

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

constexpr int patience = 1000;  // pauses, some 40 us: longer than any hand-over between running threads

/// Spins while a hand-over is likely to be near, then gives the core to whoever needs it. Returns whether it did so.
template <class Done>
bool wait_until(Done done) {
    int spins = 0;
    for (; !done(); ++spins) {
        if (spins < patience)
            relax();
        else
            std::this_thread::yield();
    }
    return spins > patience;
}

// How many calls stay on one thread after the next stall, and how many of them are left.
std::atomic<int> retreat{1}, calls_left{0};

void learn(bool stalled) {
    const int now = retreat.load(std::memory_order_relaxed);
    const int next = stalled ? now * 2 : now / 2;
    retreat.store(next < 1 ? 1 : next > 4096 ? 4096 : next, std::memory_order_relaxed);
    if (stalled) calls_left.store(now, std::memory_order_relaxed);
}

class Pool {
public:
    void run(int threads, void (*work)(void*, Team&, int), void* context) {
        if (threads > 1 && !busy_.exchange(true, std::memory_order_acquire)) {
            Team team(grow(threads));
            if (team.size > 1) {
                share(team, work, context);
                busy_.store(false, std::memory_order_release);
                return;
            }
            busy_.store(false, std::memory_order_release);
        }
        Team alone(1);
        work(context, alone, 0);
    }

private:
    int grow(int threads) {
        try {
            while (count_ + 1 < threads) {
                std::thread([this, me = count_ + 1, seen = job_.load()] { serve(me, seen); }).detach();
                ++count_;
            }
        } catch (const std::system_error&) {
            threads = count_ + 1;  // the system gives no more
        }
        return threads;
    }

    void share(Team& team, void (*work)(void*, Team&, int), void* context) {
        team_ = &team;
        work_ = work;
        context_ = context;
        running_.store(count_, std::memory_order_relaxed);
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            job_.fetch_add(1, std::memory_order_release);
        }
        if (asleep_.load(std::memory_order_seq_cst)) wake_.notify_all();
        work(context, team, 0);
        if (team.met()) learn(team.stalled());
        wait_until([this] { return running_.load(std::memory_order_acquire) == 0; });
    }

    void serve(int me, unsigned seen) {
        for (;;) {
            seen = next(seen);
            if (me < team_->size) work_(context_, *team_, me);
            running_.fetch_sub(1, std::memory_order_release);
        }
    }

    /// Waits for the job after `seen`: spinning for a while, then asleep.
    unsigned next(unsigned seen) {
        for (int spins = 0; spins < 2 * patience; ++spins) {
            const unsigned job = job_.load(std::memory_order_acquire);
            if (job != seen) return job;
            relax();
        }
        std::unique_lock<std::mutex> lock(mutex_);
        asleep_.fetch_add(1, std::memory_order_seq_cst);
        wake_.wait(lock, [&] { return job_.load(std::memory_order_acquire) != seen; });
        asleep_.fetch_sub(1, std::memory_order_relaxed);
        return job_.load(std::memory_order_acquire);
    }

    std::atomic<bool> busy_{false};
    int count_ = 0;
    Team* team_ = nullptr;
    void (*work_)(void*, Team&, int) = nullptr;
    void* context_ = nullptr;
    alignas(64) std::atomic<unsigned> job_{0};
    alignas(64) std::atomic<int> running_{0};
    std::atomic<int> asleep_{0};
    std::mutex mutex_;
    std::condition_variable wake_;
};

std::atomic<Pool*> pool{nullptr};

/// The pool is never destroyed: its threads may be waiting while the process ends. A forked child has none of the
/// threads, so it forgets the pool and makes its own.
Pool& the_pool() {
    Pool* now = pool.load(std::memory_order_acquire);
    if (now) return *now;
    static std::mutex making;
    const std::lock_guard<std::mutex> lock(making);
    now = pool.load(std::memory_order_acquire);
    if (!now) {
#if defined(__unix__) || defined(__APPLE__)
        static const int once = pthread_atfork(nullptr, nullptr, [] { pool.store(nullptr); });
        (void)once;
#endif
        now = new Pool;
        pool.store(now, std::memory_order_release);
    }
    return *now;
}

}  // namespace

/// Returns whether another thread was long in coming.
bool Team::wait() {
    if (size == 1) return false;
    const unsigned round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size - 1) {
        arrived_.store(0, std::memory_order_relaxed);
        round_.store(round + 1, std::memory_order_release);
        return false;
    }
    return wait_until([&] { return round_.load(std::memory_order_acquire) != round; });
}

void Team::barrier() {
    wait();
}

void Team::meet() {
    if (!met()) met_.store(true, std::memory_order_relaxed);
    if (wait()) stalled_.store(true, std::memory_order_relaxed);
}

bool meeting_is_cheap() {
    if (calls_left.load(std::memory_order_relaxed) <= 0) return true;
    calls_left.fetch_sub(1, std::memory_order_relaxed);
    return false;
}

void run_team(int threads, void (*work)(void*, Team&, int), void* context) {
    if (threads <= 1) {
        Team alone(1);
        work(context, alone, 0);
        return;
    }
    the_pool().run(threads, work, context);
}

}  // namespace elman
