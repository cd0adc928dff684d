// What the runtime tells AddressSanitizer and ThreadSanitizer.
//
// ASan must know of each change of stack, and gets the red zones of shared memory. Under TSan each CUDA thread is a logical thread
// of its own: barriers are release and acquire, and whatever a kernel reads or writes is checked. There the kernels are compiled
// with -fsanitize=thread and the runtime is not, but with WW_SIM_TSAN: its own bookkeeping is no business of the kernels.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define WW_SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WW_SIM_ASAN 1
#endif
#endif

#if defined(WW_SIM_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(WW_SIM_TSAN)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char*, int);
void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int);
void AnnotateIgnoreWritesEnd(const char*, int);
void __tsan_write_range(void*, unsigned long);
void __tsan_read_range(void*, unsigned long);
}
#endif

namespace ww::sim {

#if defined(WW_SIM_ASAN)
constexpr bool kAsan = true;
#else
constexpr bool kAsan = false;
#endif
#if defined(WW_SIM_TSAN)
constexpr bool kTsan = true;
#else
constexpr bool kTsan = false;
#endif

// A scope whose memory accesses, also those of instrumented code called from it, are not the kernel's.
struct Quiet {
#if defined(WW_SIM_TSAN)
    Quiet() {
        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
        AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    }
    ~Quiet() {
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
        AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    }
#else
    Quiet() {}
    ~Quiet() {}
#endif
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;
};

// What this CUDA thread did before release happens before what another does after acquire of the same address.
inline void tsan_release([[maybe_unused]] const void* address) {
#if defined(WW_SIM_TSAN)
    __tsan_release(const_cast<void*>(address));
#endif
}
inline void tsan_acquire([[maybe_unused]] const void* address) {
#if defined(WW_SIM_TSAN)
    __tsan_acquire(const_cast<void*>(address));
#endif
}

// Accesses that the runtime makes in the kernel's name.
inline void tsan_writes([[maybe_unused]] void* address, [[maybe_unused]] size_t bytes) {
#if defined(WW_SIM_TSAN)
    __tsan_write_range(address, bytes);
#endif
}
inline void tsan_reads([[maybe_unused]] void* address, [[maybe_unused]] size_t bytes) {
#if defined(WW_SIM_TSAN)
    __tsan_read_range(address, bytes);
#endif
}

inline void asan_poison([[maybe_unused]] void* address, [[maybe_unused]] size_t bytes) {
#if defined(WW_SIM_ASAN)
    __asan_poison_memory_region(address, bytes);
#endif
}
inline void asan_unpoison([[maybe_unused]] void* address, [[maybe_unused]] size_t bytes) {
#if defined(WW_SIM_ASAN)
    __asan_unpoison_memory_region(address, bytes);
#endif
}

}  // namespace ww::sim
