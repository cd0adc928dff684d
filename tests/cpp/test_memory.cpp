// The block cache: alignment, reuse, limits, poison, errors, threads, fork.
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include "engine/error.h"
#include "engine/memory.h"
#include "tests/cpp/check.h"

using ww::memory_allocate;
using ww::memory_free;
using ww::memory_stats;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCached = false;
#else
constexpr bool kCached = true;
#endif
constexpr size_t kMiB = size_t{1} << 20;

bool aligned(const void* block, size_t to) { return reinterpret_cast<uintptr_t>(block) % to == 0; }

void blocks_are_aligned_and_writable() {
    std::vector<size_t> sizes = {0, 1, 63, 64, 65, 511, 512, 513, 1000, 4096, 65537, kMiB, 2 * kMiB - 1, 2 * kMiB, 2 * kMiB + 1};
    for (size_t n = 1; n < 40 * kMiB; n = n * 3 / 2 + 1) sizes.push_back(n);
    const int64_t before = memory_stats().bytes_in_use;
    for (size_t bytes : sizes) {
        char* block = static_cast<char*>(memory_allocate(bytes));
        if (!block || !aligned(block, bytes >= 2 * kMiB && kCached ? 2 * kMiB : 64)) CHECK(!"aligned");
        if (bytes) memset(block, 1, bytes);
        const size_t held = static_cast<size_t>(memory_stats().bytes_in_use - before);
        if (held < bytes || (bytes > 512 && held > bytes + bytes / 8 + 4096)) CHECK(!"waste is at most an eighth");
        memory_free(block);
    }
    CHECK(memory_stats().bytes_in_use == before);
    memory_free(nullptr);
    CHECK(ww::Block(0).data() == nullptr);
    CHECK(ww::Block(100).data() != nullptr);
}

void freed_blocks_serve_their_class() {
    if (!kCached) return;
    for (size_t bytes : {size_t{64}, size_t{1000}, 3 * kMiB}) {
        void* first = memory_allocate(bytes);
        memory_free(first);
        const ww::MemoryStats before = memory_stats();
        void* second = memory_allocate(bytes - bytes / 32);
        const ww::MemoryStats after = memory_stats();
        CHECK(second == first);
        CHECK(after.cache_hits == before.cache_hits + 1);
        CHECK(after.allocations == before.allocations + 1);
        CHECK(after.bytes_in_use - before.bytes_in_use == before.bytes_cached - after.bytes_cached);
        void* third = memory_allocate(bytes);
        CHECK(third != second);
        memory_free(third);
        memory_free(second);
    }
    CHECK(memory_stats().bytes_cached > 0);
    ww::memory_release_cached();
    CHECK(memory_stats().bytes_cached == 0);
}

void the_peak_is_remembered() {
    ww::memory_reset_peak();
    const int64_t before = memory_stats().peak_in_use;
    CHECK(before == memory_stats().bytes_in_use);
    {
        ww::Block a(kMiB), b(kMiB);
    }
    CHECK(memory_stats().peak_in_use == before + static_cast<int64_t>(2 * kMiB));
    ww::memory_reset_peak();
    CHECK(memory_stats().peak_in_use == before);
}

void poison_is_nan() {
    ww::memory_set_poison(true);
    CHECK(ww::memory_poison());
    for (size_t bytes : {size_t{400}, 4 * kMiB})
        for (int round = 0; round < 2; round++) {  // a fresh block, then a used one
            ww::Block block(bytes);
            float* values = static_cast<float*>(block.data());
            CHECK(std::isnan(values[0]) && std::isnan(values[bytes / 4 - 1]));
            double wide;
            memcpy(&wide, values, sizeof wide);
            CHECK(std::isnan(wide));
            memset(values, 0, bytes);
        }
    ww::memory_set_poison(false);
    CHECK(!ww::memory_poison());
}

void absurd_sizes_are_out_of_memory() {
    const int64_t before = memory_stats().bytes_in_use;
    for (size_t bytes : {SIZE_MAX, SIZE_MAX - 63, SIZE_MAX / 2, (size_t{1} << 47) + 1, (size_t{1} << 47) - 5}) {
        const std::string text = check::text_of<ww::OutOfMemory>([bytes] { memory_allocate(bytes); });
        CHECK(text.find("expected " + std::to_string(bytes) + " bytes") != std::string::npos);
        CHECK(text.find("in use ") != std::string::npos && text.find("cached ") != std::string::npos);
    }
    CHECK(memory_stats().bytes_in_use == before);
}

// Every block carries its owner's mark from one thread to the next, which checks it and frees it.
void threads_free_each_others_blocks() {
    constexpr int kThreads = 4, kBoxes = 64, kRounds = 4000;
    static std::atomic<uint32_t*> boxes[kBoxes];
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    const int64_t before = memory_stats().bytes_in_use;
    for (int t = 0; t < kThreads; t++)
        threads.emplace_back([t, &wrong] {
            uint32_t state = static_cast<uint32_t>(t) + 1;
            for (int i = 0; i < kRounds; i++) {
                state = state * 1664525u + 1013904223u;
                const uint32_t words = 2 + (state >> 8) % (i % 500 == 0 ? 1000000 : 2000);
                uint32_t* block = static_cast<uint32_t*>(memory_allocate(words * sizeof(uint32_t)));
                block[0] = words;
                block[words - 1] = words;
                uint32_t* other = boxes[(state >> 4) % kBoxes].exchange(block);
                if (other && other[0] != other[other[0] - 1]) wrong++;
                memory_free(other);
                if (i % 1000 == 999) ww::memory_release_cached();
            }
        });
    for (auto& thread : threads) thread.join();
    for (auto& box : boxes) memory_free(box.exchange(nullptr));
    CHECK(wrong == 0);
    CHECK(memory_stats().bytes_in_use == before);
}

#if !defined(__SANITIZE_ADDRESS__)
// Not under ASan: its allocator itself hangs in the child (new and delete alone show it: 1 fork in 20 to 1000).
void a_fork_while_others_allocate_does_not_deadlock() {
    std::atomic<bool> stop{false};
    std::thread busy([&] {
        while (!stop) ww::Block block(128);
    });
    for (int i = 0; i < 30; i++)
        CHECK(check::in_child([] {
                  for (int k = 0; k < 100; k++) ww::Block(128 * static_cast<size_t>(k) + 1);
              }) == 0);
    stop = true;
    busy.join();
}

// ASan has its own words for these.
void wrong_frees_abort() {
    CHECK(check::in_child(
              [] {
                  void* block = memory_allocate(100);
                  memory_free(block);
                  memory_free(block);
              },
              true) == -SIGABRT);
    CHECK(check::in_child(
              [] {
                  alignas(64) static char own[256] = {};
                  memory_free(own + 128);
              },
              true) == -SIGABRT);
    CHECK(check::in_child([] { memory_free(static_cast<char*>(memory_allocate(256)) + 64); }, true) == -SIGABRT);
    CHECK(check::in_child([] { memory_free(static_cast<char*>(memory_allocate(256)) + 8); }, true) == -SIGABRT);
}
#endif

// In children, since the variables are read once.
void the_environment_configures() {
    auto with = [](const char* name, const char* value, auto body) {
        return check::in_child([&] {
            setenv(name, value, 1);
            body();
        });
    };
    CHECK(with("WHITEWOLF_POISON", "1", [] {
              CHECK(ww::memory_poison());
              CHECK(*static_cast<unsigned char*>(ww::Block(1).data()) == 0xFF);
          }) == 0);
    CHECK(with("WHITEWOLF_CACHE", "0", [] {
              {
                  ww::Block small(100), large(3 * kMiB);
              }
              CHECK(memory_stats().bytes_cached == 0);
              {
                  ww::Block small(100);
              }
              CHECK(memory_stats().cache_hits == 0);
          }) == 0);
    CHECK(with("WHITEWOLF_CACHE_LIMIT", "1048576", [] {
              {
                  ww::Block too_large(2 * kMiB);
              }
              CHECK(memory_stats().bytes_cached == 0);
              void* old = memory_allocate(kMiB / 2);
              memory_free(old);
              {
                  ww::Block a(kMiB / 4);
              }
              {
                  ww::Block b(kMiB / 2 + kMiB / 8);
              }  // makes room: the longest unused goes
              CHECK(memory_stats().bytes_cached == (kCached ? static_cast<int64_t>(kMiB / 4 + kMiB / 2 + kMiB / 8) : 0));
          }) == 0);
    CHECK(with("WHITEWOLF_CACHE_LIMIT", "lots", [] {
              CHECK(check::text_of<ww::ShapeError>([] { memory_allocate(1); }) ==
                    "WHITEWOLF_CACHE_LIMIT: expected bytes >= 0, got 'lots'");
          }) == 0);
    CHECK(with("WHITEWOLF_CACHE", "yes", [] {
              CHECK(check::text_of<ww::ShapeError>([] { memory_allocate(1); }) == "WHITEWOLF_CACHE: expected 0 or 1, got 'yes'");
          }) == 0);
}

}  // namespace

int main() {
    the_environment_configures();  // before this process has read it
    blocks_are_aligned_and_writable();
    freed_blocks_serve_their_class();
    the_peak_is_remembered();
    poison_is_nan();
    absurd_sizes_are_out_of_memory();
    threads_free_each_others_blocks();
#if !defined(__SANITIZE_ADDRESS__)
    a_fork_while_others_allocate_does_not_deadlock();
    wrong_frees_abort();
#endif
    return check::summary("test_memory");
}
