// The pool of parallel.h: callers post their loop in a slot, workers come by and help.
//
// A slot holds one loop. Its `state` counts the workers inside and says whether more may enter: a worker adds itself first and
// looks second, so once the caller has closed the slot and seen the count at zero, nobody can be reading it. Slots are never
// freed, which lets a late worker look at one without a lock. Chunks are claimed with one fetch_add, the caller claims like
// everybody else, and it waits only for workers inside its own slot: a loop never waits for a stranger's, and it ends even when
// no worker comes.
//
// Workers find new loops by `epoch`, which each post raises: they watch it for kSpin, then sleep on it.
#include "engine/parallel.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cmath>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>

#include "engine/error.h"

#if defined(__linux__)
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <condition_variable>
#endif

namespace ww {
namespace {

using Clock = std::chrono::steady_clock;

// Long enough to bridge the Python between two ops, also where a step of training takes stock (1 to 150 us): with 50 a worker fell
// asleep five times in a LeNet step, and a step of one picture took 1.3 times as long. Short enough that on a machine shared with
// others it is not seen.
constexpr std::chrono::microseconds kSpin{200};
constexpr int kSlots = 16;           // loops in flight; a caller that finds none free computes alone
constexpr int kChunksPerThread = 4;  // evens out threads that start late or lose their CPU for a while

thread_local bool inside = false;  // this thread is running a chunk: nested loops run in place
std::atomic<int> threads{0};       // 0: not asked for yet
std::atomic<int> forks{0};         // how many forks lie between this process and the one that loaded us

void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");  // `yield` is a no-op on most cores; isb waits some tens of cycles, as pause does
#endif
}

// Yields between looks: when others use the machine, the scheduler puts the awaited thread on this very CPU, and pure spinning
// would hold it up for all of kSpin (seen: each loop 60 us late; with the yield, as fast as one thread alone).
template <class Done>
bool spin(Done done) {
    const Clock::time_point end = Clock::now() + kSpin;
    for (;;) {
        for (int i = 0; i < 32; i++) {
            if (done()) return true;
            relax();
        }
        if (Clock::now() >= end) return false;
        std::this_thread::yield();
    }
}

// A word that threads can sleep on.
struct Word {
    std::atomic<uint32_t> value{0};
#if defined(__linux__)
    void wait(uint32_t seen) { syscall(SYS_futex, &value, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0); }
    void wake(int sleepers) { syscall(SYS_futex, &value, FUTEX_WAKE_PRIVATE, sleepers, nullptr, nullptr, 0); }
#else
    std::mutex mutex;
    std::condition_variable changed;
    void wait(uint32_t seen) {
        std::unique_lock<std::mutex> lock(mutex);
        while (value.load() == seen) changed.wait(lock);
    }
    void wake(int) {
        {
            std::lock_guard<std::mutex> lock(mutex);
        }  // no waiter is between its look and its sleep
        changed.notify_all();
    }
#endif
};

struct alignas(64) Slot {
    static constexpr uint32_t kOpen = 1, kCallerSleeps = 2, kHelper = 4;  // bits, and the unit of the count
    Word state;
    std::atomic<bool> taken{false};
    std::atomic<bool> failed{false};
    std::exception_ptr error;

    // Written while the slot is closed and empty.
    void (*body)(void*, int64_t, int64_t) = nullptr;
    void* context = nullptr;
    int64_t n = 0, grain = 0, chunks = 0;

    alignas(64) std::atomic<int64_t> next{0};  // the first chunk that nobody has claimed

    bool run_chunks() {
        bool any = false;
        const int64_t blocks = n / grain, each = blocks / chunks, longer = blocks % chunks;
        for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < chunks; any = true) {
            const int64_t begin = (i * each + std::min(i, longer)) * grain;
            const int64_t end = i == chunks - 1 ? n : begin + (each + (i < longer)) * grain;
            try {
                body(context, begin, end);
            } catch (...) {
                if (!failed.exchange(true)) error = std::current_exception();
                next.store(chunks, std::memory_order_relaxed);
            }
        }
        return any;
    }

    // For workers: true if there was something to do.
    bool help() {
        if (!(state.value.load(std::memory_order_relaxed) & kOpen)) return false;
        const bool any = (state.value.fetch_add(kHelper, std::memory_order_acq_rel) & kOpen) && run_chunks();
        const uint32_t before = state.value.fetch_sub(kHelper, std::memory_order_acq_rel);
        if (before / kHelper == 1 && (before & kCallerSleeps)) state.wake(1);
        return any;
    }

    // For the caller: no worker is inside when this returns.
    void close() {
        state.value.fetch_and(~kOpen, std::memory_order_acq_rel);
        if (spin([&] { return state.value.load(std::memory_order_acquire) < kHelper; })) return;
        uint32_t now = state.value.fetch_or(kCallerSleeps, std::memory_order_acq_rel) | kCallerSleeps;
        for (; now >= kHelper; now = state.value.load(std::memory_order_acquire)) state.wait(now);
        state.value.fetch_and(~kCallerSleeps, std::memory_order_relaxed);
    }
};

struct Pool {
    Slot slots[kSlots];
    alignas(64) Word epoch;
    std::atomic<int> sleepers{0};
    std::atomic<int> workers{0};
    std::mutex hiring;  // held to change `workers`

    Slot* claim() {
        for (Slot& slot : slots)
            if (!slot.taken.load(std::memory_order_relaxed) && !slot.taken.exchange(true, std::memory_order_acquire)) return &slot;
        return nullptr;
    }

    // Both orders matter: the sleeper counts itself, then compares epoch; we raise epoch, then read the count.
    void post(int64_t helpers) {
        epoch.value.fetch_add(1);
        const int64_t asleep = sleepers.load();
        if (asleep) epoch.wake(static_cast<int>(std::min(helpers, asleep)));
    }

    void hire(int wanted) {
        std::lock_guard<std::mutex> lock(hiring);
        while (workers.load() < wanted) {
            // Signals are for the program's own threads (Ctrl-C for Python's main one); a worker inherits the mask it starts under.
            sigset_t all, before;
            sigfillset(&all);
            pthread_sigmask(SIG_SETMASK, &all, &before);
            std::string reason;
            try {
                std::thread(&Pool::work, this, workers.load() % kSlots).detach();
            } catch (const std::exception& error) {
                reason = error.what();
            }
            pthread_sigmask(SIG_SETMASK, &before, nullptr);
            if (!reason.empty())
                fail<Error>("parallel_for: expected to start %d worker threads, got %d (%s); see WHITEWOLF_THREADS", wanted,
                            workers.load(), reason.c_str());
            workers.fetch_add(1);
        }
    }

    bool retire() {
        if (workers.load(std::memory_order_relaxed) < threads.load(std::memory_order_relaxed)) return false;
        std::lock_guard<std::mutex> lock(hiring);
        if (workers.load() < threads.load()) return false;
        workers.fetch_sub(1);
        return true;
    }

    // Workers begin their round at different slots, so that several loops all get help.
    void work(int first) {
        inside = true;
        while (!retire()) {
            const uint32_t seen = epoch.value.load();
            bool any = false;
            for (int i = 0; i < kSlots; i++) any |= slots[(first + i) % kSlots].help();
            if (any || spin([&] { return epoch.value.load(std::memory_order_relaxed) != seen; })) continue;
            sleepers.fetch_add(1);
            epoch.wait(seen);
            sleepers.fetch_sub(1);
        }
    }
};

// Never destroyed: workers and late callers may outlive static destructors. A child of fork() has none of its parent's workers,
// and the slots that they and other callers held stay taken, so it builds the pool anew in place. The fork waits for a thread that
// is being started, for the sake of whatever locks the C library or a sanitizer holds meanwhile.
alignas(Pool) unsigned char storage[sizeof(Pool)];
Pool* const pool = [] {
    pthread_atfork([] { pool->hiring.lock(); }, [] { pool->hiring.unlock(); },
                   [] {
                       forks.fetch_add(1, std::memory_order_relaxed);
                       new (storage) Pool;
                   });
    return new (storage) Pool;
}();

int affinity_cpus() {
#if defined(__linux__)
    for (int bits = 1024; bits <= 1 << 20; bits *= 2) {
        const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(bits), [](cpu_set_t* s) { CPU_FREE(s); });
        const size_t bytes = CPU_ALLOC_SIZE(bits);
        if (set && sched_getaffinity(0, bytes, set.get()) == 0) return std::max(1, CPU_COUNT_S(bytes, set.get()));
        if (errno != EINVAL) break;  // EINVAL: this kernel counts more CPUs than the set holds
    }
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

constexpr int kMaxThreads = 1024;  // as in runtime.py

int default_threads() {
    const char* text = getenv("WHITEWOLF_THREADS");
    if (text && *text) {
        char* end;
        errno = 0;
        const long n = strtol(text, &end, 10);
        if (*end || errno || n < 1 || n > kMaxThreads)
            fail<ShapeError>("WHITEWOLF_THREADS: expected an integer in [1, %d], got '%s'", kMaxThreads, text);
        return static_cast<int>(n);
    }
    const int cpus = affinity_cpus(), quota = detail::quota_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
    return quota ? std::min(cpus, quota) : cpus;
}

// CPUs of one cgroup directory, as a fraction; infinity where it sets no quota.
double quota_of(const std::string& directory) {
    std::string v2_quota;
    double quota = -1, period = 0;
    if (std::ifstream(directory + "/cpu.max") >> v2_quota >> period)
        quota = v2_quota == "max" ? -1 : strtod(v2_quota.c_str(), nullptr);
    else if (!(std::ifstream(directory + "/cpu.cfs_quota_us") >> quota &&
               std::ifstream(directory + "/cpu.cfs_period_us") >> period))
        quota = -1;
    return quota > 0 && period > 0 ? quota / period : INFINITY;
}

// The loop of parallel_steps. Each place of the team has a range of the jobs and a word that says how far it has come: the step
// and, below it, how many of its jobs are claimed. Whoever finds a word of an earlier step behind a step that is open moves it on,
// so nothing is reset between steps, and a thread may come at any time and begin at the step that is open.
class Steps {
    static constexpr int kJobBits = 32;
    struct alignas(64) Place {
        std::atomic<uint64_t> claimed{0};
    };
    static constexpr int64_t kPlaces = 64;

    int64_t steps, jobs;
    void (*body)(void*, int64_t, int64_t);
    void* context;
    Place places[kPlaces];
    alignas(64) std::atomic<int64_t> done{0};  // jobs of all steps
    std::atomic<bool> failed{false};

    int64_t begin(int64_t place) const { return place * jobs / team; }

    // The next job of a place at a step, or -1.
    int64_t claim(int64_t place, int64_t step) {
        const int64_t first = begin(place), size = begin(place + 1) - first;
        const uint64_t start = static_cast<uint64_t>(step) << kJobBits;
        uint64_t seen = places[place].claimed.load(std::memory_order_relaxed);
        for (;;) {
            const uint64_t from = std::max(seen, start);
            if (from - start >= static_cast<uint64_t>(size)) return -1;
            if (places[place].claimed.compare_exchange_weak(seen, from + 1, std::memory_order_relaxed))
                return first + static_cast<int64_t>(from - start);
        }
    }

    void run(int64_t step, int64_t own) {
        for (int64_t i = 0; i < team; i++)
            for (int64_t job; (job = claim((own + i) % team, step)) >= 0;) {
                body(context, step, job);
                done.fetch_add(1, std::memory_order_acq_rel);
            }
    }

    // False where a job of another thread has failed. A job is short, so nobody sleeps; but its thread may have lost its CPU.
    bool wait_for(int64_t count) {
        auto met = [&] { return done.load(std::memory_order_acquire) >= count || failed.load(std::memory_order_relaxed); };
        while (!met() && !spin(met)) {
        }
        return !failed.load(std::memory_order_relaxed);
    }

  public:
    const int64_t team;

    Steps(int64_t n, int64_t each, int64_t most, void (*f)(void*, int64_t, int64_t), void* c)
        : steps(n), jobs(each), body(f), context(c), team(std::min({each, most, kPlaces})) {}

    void take_part(int64_t own) {
        try {
            for (int64_t step = done.load(std::memory_order_acquire) / jobs; step < steps; step++) {
                run(step, own);
                if (!wait_for((step + 1) * jobs)) return;
            }
        } catch (...) {
            failed.store(true, std::memory_order_relaxed);
            throw;
        }
    }
};

}  // namespace

int detail::quota_cpus(const char* membership, const char* mount) {
    double least = INFINITY;
    std::ifstream file(membership);
    for (std::string line; std::getline(file, line);) {  // "0::/path" (v2), "4:cpu,cpuacct:/path" (v1)
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        if (!controllers.empty() && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
        const std::string root = mount + (controllers.empty() ? "" : "/" + controllers);
        // Every ancestor's quota binds. A container may see its path but only its own directory, mounted as the root.
        for (std::string path = line.substr(second + 1);; path.resize(path.rfind('/'))) {
            least = std::min(least, quota_of(root + path));
            if (path.find('/') == std::string::npos) break;
        }
    }
    return std::isinf(least) ? 0 : std::max(1, static_cast<int>(std::ceil(least)));
}

int num_threads() {
    int n = threads.load(std::memory_order_relaxed);
    if (n) return n;
    const int found = default_threads();
    return threads.compare_exchange_strong(n, found) ? found : n;  // lost: somebody has set n meanwhile
}

void set_num_threads(int n) {
    if (n < 1) fail<ShapeError>("set_num_threads: expected n >= 1, got %d", n);
    threads.store(n);
    pool->post(INT_MAX);  // workers that are now too many wake up and leave
}

void detail::parallel_for(int64_t n, int64_t grain, void (*body)(void*, int64_t, int64_t), void* context) {
    if (inside) return body(context, 0, n);
    grain = std::max<int64_t>(grain, 1);
    const int team = num_threads();
    const int64_t chunks = std::min(n / grain, int64_t{team} * kChunksPerThread);
    if (team == 1 || chunks <= 1) return body(context, 0, n);

    const int helpers = static_cast<int>(std::min<int64_t>(team, chunks)) - 1;
    if (pool->workers.load(std::memory_order_relaxed) < helpers) pool->hire(helpers);
    Slot* slot = pool->claim();
    if (!slot) return body(context, 0, n);

    const int forks_before = forks.load(std::memory_order_relaxed);
    slot->body = body;
    slot->context = context;
    slot->n = n;
    slot->grain = grain;
    slot->chunks = chunks;
    slot->failed.store(false, std::memory_order_relaxed);
    slot->next.store(0, std::memory_order_relaxed);
    slot->state.value.fetch_or(Slot::kOpen, std::memory_order_release);
    pool->post(helpers);

    inside = true;
    slot->run_chunks();
    inside = false;
    if (forks.load(std::memory_order_relaxed) != forks_before)
        fail<Error>("parallel_for: expected no fork() inside a body: the child lacks what the parent's workers computed");
    slot->close();
    const std::exception_ptr error = std::exchange(slot->error, nullptr);
    slot->taken.store(false, std::memory_order_release);
    if (error) std::rethrow_exception(error);
}

void detail::parallel_steps(int64_t steps, int64_t jobs, void (*body)(void*, int64_t, int64_t), void* context) {
    Steps loop(steps, jobs, inside ? 1 : num_threads(), body, context);
    ww::parallel_for(loop.team, 1, [&](int64_t begin, int64_t end) {
        for (int64_t place = begin; place < end; place++) loop.take_part(place);
    });
}

}  // namespace ww
