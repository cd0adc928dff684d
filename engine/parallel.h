// The CPU thread pool. One pool a process; no OpenMP.
//
// parallel_for(n, grain, body) calls body(begin, end) so that every index of [0, n) is covered exactly once; chunks hold at
// least `grain` indices. How [0, n) is cut depends on the number of threads, so a body must not reduce across its own range: a
// reduction fixes its blocks by the problem's size, computes one partial a block, and adds the partials in a fixed tree.
//
// Concurrent callers share the pool, nested calls run in the calling thread, and a body's exception reaches the caller after all
// chunks have ended. After fork() the child starts with a fresh pool. Waiting threads spin for a bounded time, then sleep.
#pragma once

#include <cstdint>
#include <type_traits>

namespace ww {

// Threads that parallel_for may use, the caller included. Default: WHITEWOLF_THREADS, else the CPUs that affinity and the
// cgroup quota leave to this process.
int num_threads();
void set_num_threads(int n);  // n >= 1, else ShapeError

namespace detail {
void parallel_for(int64_t n, int64_t grain, void (*body)(void* context, int64_t begin, int64_t end), void* context);
}

template <class Body>
void parallel_for(int64_t n, int64_t grain, Body&& body) {
    using B = std::remove_reference_t<Body>;
    if (n <= 0) return;
    if (n <= grain) return body(int64_t{0}, n);
    detail::parallel_for(
        n, grain, [](void* context, int64_t begin, int64_t end) { (*static_cast<B*>(context))(begin, end); },
        const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace ww
