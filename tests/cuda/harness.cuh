// What the tests of the CUDA layer share: memory of the device, and sweeps over the simulator's schedules. Compiled by nvcc, the
// same tests run once, on the GPU.
#pragma once

#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "engine/cuda/device.cuh"
#include "engine/cuda/ptx.cuh"
#include "engine/error.h"
#include "tests/cpp/check.h"
#if !defined(__CUDACC__)
#include "engine/cuda/sim/guarded_memory.h"
#include "engine/memory.h"
#endif

namespace harness {

// n elements of global memory that the host can also see.
template <class T>
class Array {
  public:
    explicit Array(size_t n) : size_(n) {
#if defined(__CUDACC__)
        ww::cuda::check(cudaMallocManaged(&data_, n * sizeof(T)), "cudaMallocManaged");
#else
        data_ = static_cast<T*>(ww::sim::allocate_guarded(n * sizeof(T), alignof(T)));
#endif
        std::memset(static_cast<void*>(data_), 0xFF, n * sizeof(T));
    }
    Array(size_t n, const std::function<T(size_t)>& f) : Array(n) {
        for (size_t i = 0; i < n; i++) data_[i] = f(i);
    }
    ~Array() {
#if defined(__CUDACC__)
        cudaFree(data_);
#else
        ww::memory_free(data_);
#endif
    }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;
    T* data() { return data_; }
    T& operator[](size_t i) { return data_[i]; }
    size_t size() const { return size_; }
    void fill(int byte) { std::memset(static_cast<void*>(data_), byte, size_ * sizeof(T)); }

  private:
    T* data_;
    size_t size_;
};

inline void wait() {
#if defined(__CUDACC__)
    ww::cuda::check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
#endif
}

// Runs `body` under each schedule of the simulator; its argument names the schedule.
template <class Body>
void sweep(Body body) {
#if defined(__CUDACC__)
    body("cuda");
#else
    using ww::sim::Asynchrony;
    using ww::sim::Order;
    const ww::sim::Options before = ww::sim::options();
#if defined(__SANITIZE_THREAD__)
    // Each launch is hundreds of times slower, and TSan needs no unlucky schedule to see a race.
    for (const ww::sim::Options& few : {ww::sim::Options{Order::lockstep, Asynchrony::late, 0},
                                        {Order::reverse, Asynchrony::eager, 0},
                                        {Order::random, Asynchrony::random, 0}}) {
        ww::sim::options() = {few.order, few.asynchrony, few.seed, before.arch, before.timeout};
        body((std::string(name_of(few.order)) + ", " + name_of(few.asynchrony)).c_str());
    }
#else
    for (Order order : {Order::lockstep, Order::forward, Order::reverse, Order::random})
        for (Asynchrony asynchrony : {Asynchrony::late, Asynchrony::eager, Asynchrony::random})
            for (uint64_t seed = 0; seed < (order == Order::random || asynchrony == Asynchrony::random ? 3u : 1u); seed++) {
                ww::sim::options() = {order, asynchrony, seed, before.arch, before.timeout};
                body((std::string(name_of(order)) + ", " + name_of(asynchrony) + ", seed " + std::to_string(seed)).c_str());
            }
#endif
    ww::sim::options() = before;
#endif
}

// Whether the device has TMA, mbarriers and wgmma. The simulator's has from now on.
inline bool hopper() {
#if defined(__CUDACC__)
    int major = 0;
    ww::cuda::check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "cudaDeviceGetAttribute");
    return major == 9;
#else
    ww::sim::options().arch = 90;
    return true;
#endif
}

// A small deterministic integer, as a float, so that sums of products are exact.
inline float small(size_t i) { return static_cast<float>(static_cast<int>(i * 2654435761u >> 7) % 9 - 4); }

}  // namespace harness

#define CHECK_IN(schedule, condition) \
    check::that((condition), (std::string(#condition) + " [" + (schedule) + "]").c_str(), __FILE__, __LINE__)
