// The CPU thread pool. One pool a process; no OpenMP.
//
// parallel_for(n, grain, body) calls body(begin, end) so that every index of [0, n) is covered exactly once; chunks hold at
// least `grain` indices and begin at a multiple of it, so a grain that fills cache lines keeps threads off each other's. How
// [0, n) is cut depends on the number of threads, so a body must not reduce across its own range: a reduction fixes its blocks
// by the problem's size, computes one partial a block, and adds the partials in a fixed tree.
//
// Concurrent callers share the pool, and each waits for its own chunks only; nested calls run in the calling thread. When a body
// throws, chunks that nobody has begun are left out, and the first exception reaches the caller after the others have ended.
// After fork() the child starts with a fresh pool. Waiting threads spin for a bounded time, then sleep.
//
// parallel_steps(steps, jobs, body) calls body(step, job) for every step and every job of [0, jobs), no job of a step before all
// jobs of the step before it have ended: a recurrence over time. The threads meet between steps without leaving the loop, which
// costs a tenth of a parallel_for a step. Each thread keeps to the same jobs from step to step, so that what they read stays in
// its cache, and takes over others' where it is done first; a thread that does not come is not waited for.
#pragma once

#include <cstdint>
#include <type_traits>

namespace ww {

// Threads that parallel_for may use, the caller included. Default: WHITEWOLF_THREADS (ShapeError unless an integer >= 1), else
// the CPUs that affinity and the cgroup quota leave to this process.
int num_threads();
void set_num_threads(int n);  // n >= 1, else ShapeError; at any time, also while others compute

namespace detail {
void parallel_for(int64_t n, int64_t grain, void (*body)(void* context, int64_t begin, int64_t end), void* context);

void parallel_steps(int64_t steps, int64_t jobs, void (*body)(void* context, int64_t step, int64_t job), void* context);

// CPUs that the cgroup quota (v2 or v1) leaves, rounded up; 0 where there is none. The arguments are /proc/self/cgroup and
// /sys/fs/cgroup, but for tests.
int quota_cpus(const char* membership, const char* mount);
}  // namespace detail

template <class Body>
void parallel_for(int64_t n, int64_t grain, Body&& body) {
    using B = std::remove_reference_t<Body>;
    if (n <= 0) return;
    if (n <= grain) return body(int64_t{0}, n);
    detail::parallel_for(
        n, grain, [](void* context, int64_t begin, int64_t end) { (*static_cast<B*>(context))(begin, end); },
        const_cast<void*>(static_cast<const void*>(&body)));
}

template <class Body>
void parallel_steps(int64_t steps, int64_t jobs, Body&& body) {
    using B = std::remove_reference_t<Body>;
    if (steps <= 0 || jobs <= 0) return;
    detail::parallel_steps(
        steps, jobs, [](void* context, int64_t step, int64_t job) { (*static_cast<B*>(context))(step, job); },
        const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace ww
