// CUDA's language for a C++ compiler: keywords, built-in variables, intrinsics. Included by engine/cuda/device.cuh alone.
#pragma once

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "engine/cuda/sim/block.h"
#include "engine/cuda/sim/launch.h"
#include "engine/cuda/sim/storage.h"
#include "engine/cuda/sim/termination.h"

#define __global__ static __attribute__((unused))  // static: see launch_bound
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define WW_DEVICE inline
#define WW_HOST_DEVICE inline
#define WW_GRID_CONSTANT

// The last parameter of whatever threads meet in or wait for: the place of the call.
#define WW_AT_ONLY ::ww::sim::Location at = ::ww::sim::Location::here()
#define WW_AT , WW_AT_ONLY

#define threadIdx (::ww::sim::running("threadIdx").index)
#define blockIdx (::ww::sim::running("blockIdx").block->index)
#define blockDim (::ww::sim::running("blockDim").block->block_dim)
#define gridDim (::ww::sim::running("gridDim").block->grid_dim)
#if defined(__GLIBC__)
// What `assert` calls, also where <cassert> is included again: in a kernel it is an error of the launch.
#define __assert_fail ww_assert_fail
extern "C" inline void ww_assert_fail(const char* condition, const char* file, unsigned line, const char* function) noexcept {
    ww::sim::assert_failed(condition, file, line, function);
}
#endif

#if !defined(__clang__)  // which takes no other name for what a header may have used before
extern "C" {             // what ends the process ends the launch, in a kernel
decltype(::exit) exit __asm__("ww_sim_exit");
decltype(::_Exit) _Exit __asm__("ww_sim_exit_now");
decltype(::quick_exit) quick_exit __asm__("ww_sim_quick_exit");
decltype(::abort) abort __asm__("ww_sim_abort");
}
#endif

constexpr int warpSize = 32;
constexpr uint32_t kFullMask = 0xffffffffu;

// Each call in the source has a place of its own, also where two share a line.
#define __syncthreads(...)     \
    ::ww::sim::sync_threads(   \
        [] {                   \
            static char place; \
            return &place;     \
        }(),                   \
        ##__VA_ARGS__)
namespace ww::sim {
inline void sync_threads(const void* place WW_AT) { block_barrier(0, -1, true, at, "__syncthreads", place); }
}  // namespace ww::sim
inline void __syncwarp(uint32_t mask = kFullMask WW_AT) {
    ww::sim::warp_collective(mask, "__syncwarp", at, nullptr, nullptr, true);
}

namespace ww::sim {

template <class T>
struct ShuffleArgument {
    T given, taken;
    int from;
};

template <class T>
T shuffle(uint32_t mask, T value, int from, const char* what, Location at) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    ShuffleArgument<T> own{value, value, from};
    warp_collective(mask, what, at, &own, [](void** arguments, uint32_t lanes) {
        for (int lane = 0; lane < 32; lane++) {
            if (!(lanes >> lane & 1)) continue;
            auto* argument = static_cast<ShuffleArgument<T>*>(arguments[lane]);
            if (!(lanes >> argument->from & 1))
                launch_fail(*current->warp->lanes[lane], current->at, "%s: expected a lane that mask %08x names, got %d",
                            current->last, lanes, argument->from);
            argument->taken = static_cast<ShuffleArgument<T>*>(arguments[argument->from])->given;
        }
    });
    return own.taken;
}

struct VoteArgument {
    bool given;
    uint32_t votes;
};

inline uint32_t ballot(uint32_t mask, bool vote, const char* what, Location at) {
    VoteArgument own{vote, 0};
    warp_collective(mask, what, at, &own, [](void** arguments, uint32_t lanes) {
        uint32_t votes = 0;
        for (int lane = 0; lane < 32; lane++)
            if (lanes >> lane & 1) votes |= static_cast<uint32_t>(static_cast<VoteArgument*>(arguments[lane])->given) << lane;
        for (int lane = 0; lane < 32; lane++)
            if (lanes >> lane & 1) static_cast<VoteArgument*>(arguments[lane])->votes = votes;
    });
    return own.votes;
}

enum class Shuffle : uint8_t { index, up, down, exclusive_or };

// The lane that shfl.sync reads (PTX ISA, "shfl.sync"): `by` counts modulo 32, lanes are numbered within segments of `width`, and
// one that would read beyond its segment (or, exclusive_or, in a later one) reads itself.
inline int shuffled_lane(Shuffle mode, uint32_t by, int width, const char* what, Location at) {
    if (width < 1 || width > 32 || (width & (width - 1)))
        launch_fail(at, "%s: expected a width that is a power of two of 1 to 32, got %d", what, width);
    const int lane = static_cast<int>(running(what, at).lane), offset = static_cast<int>(by % 32);
    const int first = lane & ~(width - 1), last = first + width - 1;
    const int from = mode == Shuffle::index  ? first + offset % width
                     : mode == Shuffle::up   ? lane - offset
                     : mode == Shuffle::down ? lane + offset
                                             : lane ^ offset;
    return from > last || (mode == Shuffle::up && from < first) ? lane : from;
}

// The compiler's check of plain loads and stores leaves atomic ones out.
template <class T>
void check_aligned(const T* address, const char* what, Location at) {
    if (reinterpret_cast<uintptr_t>(address) % sizeof(T)) misaligned(what, address, sizeof(T), at);
}

// An atomic read-modify-write of a type that the CPU has no instruction for.
template <class Word, class T, class F>
T atomic_update(T* address, F next, const char* what, Location at) {
    static_assert(sizeof(Word) == sizeof(T), "the word must hold the value");
    check_aligned(address, what, at);
    auto* word = reinterpret_cast<Word*>(address);
    Word seen = __atomic_load_n(word, __ATOMIC_RELAXED), wanted;
    T before;
    do {
        std::memcpy(&before, &seen, sizeof before);
        T after = next(before);
        std::memcpy(&wanted, &after, sizeof wanted);
    } while (!__atomic_compare_exchange_n(word, &seen, wanted, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    note_progress();
    return before;
}

}  // namespace ww::sim

#define WW_SHUFFLE(name, mode, By)                                                                                    \
    template <class T>                                                                                                \
    T name(uint32_t mask, T value, By by, int width = 32 WW_AT) {                                                     \
        const int from = ww::sim::shuffled_lane(ww::sim::Shuffle::mode, static_cast<uint32_t>(by), width, #name, at); \
        return ww::sim::shuffle(mask, value, from, #name, at);                                                        \
    }
WW_SHUFFLE(__shfl_sync, index, int)
WW_SHUFFLE(__shfl_up_sync, up, unsigned)
WW_SHUFFLE(__shfl_down_sync, down, unsigned)
WW_SHUFFLE(__shfl_xor_sync, exclusive_or, int)
#undef WW_SHUFFLE
inline uint32_t __ballot_sync(uint32_t mask, int vote WW_AT) { return ww::sim::ballot(mask, vote != 0, "__ballot_sync", at); }
inline int __any_sync(uint32_t mask, int vote WW_AT) { return ww::sim::ballot(mask, vote != 0, "__any_sync", at) != 0; }
inline int __all_sync(uint32_t mask, int vote WW_AT) { return ww::sim::ballot(mask, vote != 0, "__all_sync", at) == mask; }

template <class T>
std::enable_if_t<std::is_integral_v<T>, T> atomicAdd(T* address, T value WW_AT) {
    ww::sim::check_aligned(address, "atomicAdd", at);
    T before = __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
    ww::sim::note_progress();
    return before;
}
inline float atomicAdd(float* address, float value WW_AT) {
    return ww::sim::atomic_update<uint32_t>(address, [value](float x) { return x + value; }, "atomicAdd", at);
}
inline double atomicAdd(double* address, double value WW_AT) {
    return ww::sim::atomic_update<uint64_t>(address, [value](double x) { return x + value; }, "atomicAdd", at);
}
template <class T>
T atomicMax(T* address, T value WW_AT) {
    return ww::sim::atomic_update<std::make_unsigned_t<T>>(address, [value](T x) { return std::max(x, value); }, "atomicMax", at);
}
template <class T>
T atomicMin(T* address, T value WW_AT) {
    return ww::sim::atomic_update<std::make_unsigned_t<T>>(address, [value](T x) { return std::min(x, value); }, "atomicMin", at);
}
template <class T>
T atomicExch(T* address, T value WW_AT) {
    return ww::sim::atomic_update<std::make_unsigned_t<T>>(address, [value](T) { return value; }, "atomicExch", at);
}
template <class T>
T atomicCAS(T* address, T expected, T value WW_AT) {
    return ww::sim::atomic_update<std::make_unsigned_t<T>>(
        address, [=](T x) { return x == expected ? value : x; }, "atomicCAS", at);
}

// TSan knows no fences: kernels order memory with the acquire and release wrappers of ptx/memory_order.cuh.
inline void __threadfence() {
#if !defined(__SANITIZE_THREAD__)
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}
inline void __threadfence_block() {}

template <class T>
T __ldg(const T* address) {
    return *address;
}
inline uint32_t __float_as_uint(float x) { return ww::sim::bits_of(x); }
inline float __uint_as_float(uint32_t bits) { return ww::sim::float_of(bits); }
inline int __popc(uint32_t bits) { return __builtin_popcount(bits); }
inline int __clz(int bits) { return bits ? __builtin_clz(static_cast<unsigned>(bits)) : 32; }
inline int __ffs(int bits) { return __builtin_ffs(bits); }

namespace ww::cuda {

using TensorMap = sim::TensorMap;

struct SharedMemory {
    template <class T, int alignment = static_cast<int>(alignof(T))>
    T* take(size_t count WW_AT) {
        return reinterpret_cast<T*>(sim::take_shared(count * sizeof(T), alignment, at));
    }
};

inline uint32_t shared_address(const void* pointer WW_AT) { return sim::shared_address(pointer, at); }

struct DeviceProperties {
    int multiprocessors;
    size_t shared_bytes_per_block;
};
inline DeviceProperties device_properties() {
    return {sim::kMultiprocessors, sim::limits_of(sim::options().arch).shared_bytes_per_block};
}

template <auto kernel>
int resident_blocks(int threads, size_t shared_bytes) {
    return sim::resident_blocks(threads, shared_bytes);
}

template <class... Parameters, class... Arguments>
std::tuple<std::decay_t<Parameters>...> bind_arguments(void (*)(Parameters...), Arguments&&... arguments) {
    static_assert(sizeof(std::tuple<std::decay_t<Parameters>...>) <= 4096, "CUDA takes at most 4 KiB of kernel arguments");
    return {static_cast<Parameters>(std::forward<Arguments>(arguments))...};
}

extern "C" {  // of the object that this is compiled into, where a kernel has __launch_bounds__
extern const uintptr_t bounds_begin[] __asm__("__start___patchable_function_entries") __attribute__((weak, visibility("hidden")));
extern const uintptr_t bounds_end[] __asm__("__stop___patchable_function_entries") __attribute__((weak, visibility("hidden")));
}

template <auto kernel, class Bound>
void run_thread(void* shared) {
    Bound own = *static_cast<Bound*>(shared);
    std::apply(kernel, own);
}

// Arguments are copied once a launch, and then for each thread, as CUDA passes them.
template <auto kernel, class... Arguments>
void launch(const LaunchConfig& config, Arguments&&... arguments) {
    static const unsigned most = sim::launch_bound(reinterpret_cast<const void*>(kernel), bounds_begin, bounds_end);
    auto bound = bind_arguments(kernel, std::forward<Arguments>(arguments)...);
    sim::run_grid({config.grid, config.block, config.shared_bytes, config.cooperative, most, {config.file, config.line}},
                  __PRETTY_FUNCTION__, run_thread<kernel, decltype(bound)>, &bound);
}

}  // namespace ww::cuda
