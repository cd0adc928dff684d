#include "engine/cuda/sim/limits.h"

#include <algorithm>
#include <cstring>

#include "engine/error.h"

namespace ww::sim {

const Limits& limits_of(int arch) {
    static constexpr Limits all[] = {{80, 163 * 1024, 164 * 1024, 2048, 32},
                                     {86, 99 * 1024, 100 * 1024, 1536, 16},
                                     {89, 99 * 1024, 100 * 1024, 1536, 24},
                                     {90, 227 * 1024, 228 * 1024, 2048, 32}};
    for (const Limits& one : all)
        if (one.arch == arch) return one;
    return all[0];
}

void check_limits(const Shape& shape, const char* kernel) {
    constexpr size_t threads_per_block = 1024;
    const int arch = options().arch;
    auto within = [&](const char* what, size_t value, size_t most) {
        if (value < 1 || value > most)
            fail<DeviceError>("cudasim: kernel %s: expected a launch with %s of 1 to %zu, got %zu", kernel, what, most, value);
    };
    within("grid.x", shape.grid.x, 0x7fffffff);
    within("grid.y", shape.grid.y, 65535);
    within("grid.z", shape.grid.z, 65535);
    within("block.x", shape.block.x, 1024);
    within("block.y", shape.block.y, 1024);
    within("block.z", shape.block.z, 64);
    size_t threads = size_t{shape.block.x} * shape.block.y * shape.block.z;
    within("threads a block", threads, threads_per_block);
    if (threads % 32) fail<DeviceError>("cudasim: kernel %s: expected a multiple of 32 threads a block, got %zu", kernel, threads);
    if (shape.bound && threads > shape.bound)
        fail<DeviceError>("cudasim: kernel %s: expected at most the %u threads a block of its __launch_bounds__, got %zu", kernel,
                          shape.bound, threads);
    if (shape.shared_bytes > limits_of(arch).shared_bytes_per_block)
        fail<DeviceError>(
            "cudasim: kernel %s: expected at most %zu bytes of shared memory a block (compute capability %d.%d), got %zu", kernel,
            limits_of(arch).shared_bytes_per_block, arch / 10, arch % 10, shape.shared_bytes);
    if (!shape.cooperative) return;
    size_t blocks = size_t{shape.grid.x} * shape.grid.y * shape.grid.z;
    size_t most = static_cast<size_t>(kMultiprocessors * resident_blocks(static_cast<int>(threads), shape.shared_bytes));
    if (blocks > most)
        fail<DeviceError>(
            "cudasim: kernel %s: expected a cooperative launch of at most %zu blocks, which is what can be resident, got %zu",
            kernel, most, blocks);
}

int resident_blocks(int threads, size_t shared_bytes) {
    constexpr size_t reserved = 1024;  // of shared memory, by the system, for each block
    const Limits& device = limits_of(options().arch);
    auto by_shared = static_cast<int>(device.shared_bytes_per_multiprocessor / (shared_bytes + reserved));
    return std::min({device.threads_per_multiprocessor / std::max(threads, 1), by_shared, device.blocks_per_multiprocessor});
}

unsigned launch_bound(const void* code, const uintptr_t* begin, const uintptr_t* end) {
#if defined(__aarch64__)
    using Instruction = uint32_t;
    constexpr Instruction nop = 0xd503201f;
#else
    using Instruction = uint8_t;
    constexpr Instruction nop = 0x90;
#endif
    auto entry = reinterpret_cast<uintptr_t>(code);
    for (const uintptr_t* from = begin; from < end; from++) {
        if (*from >= entry || entry - *from > 64 * sizeof(Instruction)) continue;
        size_t count = (entry - *from) / sizeof(Instruction), nops = 0;
        auto* instructions = reinterpret_cast<const Instruction*>(*from);
        while (nops < count && instructions[nops] == nop) nops++;
        if (nops == count) return static_cast<unsigned>(count - 1) * 32;  // else another kernel lies between
    }
    return 0;
}

}  // namespace ww::sim
