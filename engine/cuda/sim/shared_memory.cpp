// Shared memory of a block: what the carver hands out, filled with NaN at the start.
//
// Each array lies on pages of its own, between pages that nobody may touch: under one half of the orders it ends where those begin,
// to the byte if its size is a multiple of its alignment, under the others it begins where they end (options.h). What is left of
// its pages holds a mark, looked at when the block meets and at its end. The pages stay from block to block: a kernel takes the
// same. The addresses of PTX are apart from all this: they are packed as on a GPU, but for a gap between arrays.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "engine/cuda/sim/block.h"
#include "engine/cuda/sim/sanitizers.h"
#include "engine/error.h"

namespace ww::sim {
namespace {

constexpr size_t kRoom = size_t{32} << 20, kGuard = size_t{256} << 10;  // no block has more than that
constexpr size_t kMaxAlignment = 1024, kMaxArrays = 64;
constexpr uint32_t kFirstAddress = 1024, kAddressGap = 256;  // no address is 0
constexpr int kPoison = 0xFF;                                // in arrays, and beside them

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

void mark(char* from, char* to) {
    if (kAsan) asan_poison(from, static_cast<size_t>(to - from));
    else std::memset(from, kPoison, static_cast<size_t>(to - from));
}

SharedArray lay_out(const Block& block, size_t i, size_t bytes, size_t alignment, bool at_end) {
    static const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_t room = round_up(bytes, alignment), pages = round_up(room, page);
    char* low = (i ? block.arrays[i - 1].high : block.shared) + kGuard;
    uint32_t address =
        i ? block.arrays[i - 1].address + static_cast<uint32_t>(block.arrays[i - 1].bytes) + kAddressGap : kFirstAddress;
    if (pages && mprotect(low, pages, PROT_READ | PROT_WRITE) != 0)
        fail<OutOfMemory>("kernel %s: expected %zu bytes for shared memory, the system has none", machine->kernel, pages);
    return {bytes,
            alignment,
            at_end,
            at_end ? low + pages - room : low,
            low,
            low + pages,
            static_cast<uint32_t>(round_up(address, alignment))};
}

}  // namespace

void prepare_shared(Block& block, size_t bytes) {
    if (!block.shared) {
        void* room = mmap(nullptr, kRoom, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (room == MAP_FAILED) fail<OutOfMemory>("kernel %s: expected addresses for shared memory", machine->kernel);
        block.shared = static_cast<char*>(room);
    }
    block.shared_asked = bytes;
    block.shared_packed = 0;
    block.taken = 0;
}

void release_shared(Block& block) {
    if (!block.shared) return;
    asan_unpoison(block.shared, kRoom);
    munmap(block.shared, kRoom);
}

// The first thread to ask for its i-th array lays it out; all others must ask for the same.
char* take_shared(size_t bytes, size_t alignment, Location at) {
    Inside inside("SharedMemory::take", at);
    Quiet quiet;
    Block& block = *current->block;
    auto& arrays = block.arrays;
    size_t i = current->shared_arrays++;
    if (i < block.taken) {
        if (arrays[i].bytes != bytes || arrays[i].alignment != alignment)
            launch_fail(
                at,
                "shared memory: expected array %zu of %zu bytes aligned to %zu, as other threads took it, got %zu aligned to %zu",
                i, arrays[i].bytes, arrays[i].alignment, bytes, alignment);
        return arrays[i].data;
    }
    if (alignment == 0 || alignment > kMaxAlignment || (alignment & (alignment - 1)))
        launch_fail(at, "shared memory: expected an alignment that is a power of two up to %zu, got %zu", kMaxAlignment, alignment);
    block.shared_packed = round_up(block.shared_packed, alignment) + bytes;
    if (block.shared_packed > block.shared_asked)
        launch_fail(at, "shared memory: expected arrays of at most the %zu bytes that the launch gave, got %zu", block.shared_asked,
                    block.shared_packed);
    if (i == kMaxArrays) launch_fail(at, "shared memory: expected at most %zu arrays, for the simulator's guards", kMaxArrays);
    const bool at_end = ends_at_guard(machine->options);
    if (i < arrays.size() && (arrays[i].bytes != bytes || arrays[i].alignment != alignment || arrays[i].at_end != at_end)) {
        for (size_t k = i; k < arrays.size(); k++) {
            asan_unpoison(arrays[k].low, static_cast<size_t>(arrays[k].high - arrays[k].low));
            mprotect(arrays[k].low, static_cast<size_t>(arrays[k].high - arrays[k].low), PROT_NONE);
        }
        arrays.resize(i);
    }
    if (i == arrays.size()) arrays.push_back(lay_out(block, i, bytes, alignment, at_end));
    const SharedArray& array = arrays[i];
    asan_unpoison(array.low, static_cast<size_t>(array.high - array.low));
    mark(array.low, array.data);
    std::memset(array.data, kPoison, bytes);
    mark(array.data + bytes, array.high);
    block.taken++;
    return array.data;
}

uint32_t shared_address(const void* pointer, Location at) {
    Inside inside("shared_address", at);
    const Block& block = *current->block;
    auto* p = static_cast<const char*>(pointer);
    for (size_t i = 0; i < block.taken; i++) {
        const SharedArray& array = block.arrays[i];
        if (p >= array.data && p <= array.data + array.bytes) return array.address + static_cast<uint32_t>(p - array.data);
    }
    machine->detail = describe_shared(block, pointer);
    if (machine->detail.empty()) machine->detail = "one elsewhere";
    launch_fail(at, "shared_address: expected a pointer into an array of this block's shared memory, got %s",
                machine->detail.c_str());
}

char* shared_pointer(uint32_t address, size_t bytes, const char* what, Location at) {
    const Block& block = *current->block;
    const size_t end = address + bytes;
    for (size_t i = 0; i < block.taken; i++) {
        const SharedArray& array = block.arrays[i];
        if (address >= array.address && end <= array.address + array.bytes) return array.data + (address - array.address);
    }
    long long distance = 0;
    for (size_t i = 0; i < block.taken; i++) {
        auto past = static_cast<long long>(end) - static_cast<long long>(block.arrays[i].address + block.arrays[i].bytes);
        if (i == 0 || std::llabs(past) < std::llabs(distance)) distance = past;
    }
    launch_fail(at,
                "%s: expected %zu bytes within an array of shared memory, got address %u, which ends %lld bytes past the end of "
                "the nearest",
                what, bytes, address, distance);
}

char* shared_pointer(const Block& block, uint32_t address) {
    if (!block.taken) return block.shared;
    size_t i = block.taken - 1;
    while (i > 0 && address < block.arrays[i].address) i--;
    return block.arrays[i].data + (address - block.arrays[i].address);
}

std::string describe_shared(const Block& block, const void* address) {
    auto* at = static_cast<const char*>(address);
    if (!block.shared || at < block.shared || at >= block.shared + kRoom) return "";
    if (!block.taken) return "shared memory: access before an array was taken";
    auto distance = [&](size_t i) {
        const SharedArray& array = block.arrays[i];
        return at < array.data ? array.data - at : at - (array.data + array.bytes);
    };
    size_t nearest = 0;
    for (size_t i = 1; i < block.taken; i++)
        if (distance(i) < distance(nearest)) nearest = i;
    return "shared memory overrun: access " + std::to_string(distance(nearest)) + " bytes " +
           (at < block.arrays[nearest].data ? "before" : "past the end of") + " array " + std::to_string(nearest) + " (" +
           std::to_string(block.arrays[nearest].bytes) + " bytes)";
}

std::string shared_overrun(const Block& block, size_t reach) {
    if (kAsan) return "";
    auto untouched = [](const char* from, size_t bytes) {
        return bytes == 0 || (*from == static_cast<char>(kPoison) && std::memcmp(from, from + 1, bytes - 1) == 0);
    };
    for (size_t i = 0; i < block.taken; i++) {
        const SharedArray& array = block.arrays[i];
        const char* end = array.data + array.bytes;
        size_t before = std::min(reach, static_cast<size_t>(array.data - array.low));
        size_t behind = std::min(reach, static_cast<size_t>(array.high - end));
        const bool past = !untouched(end, behind);
        if (!past && untouched(array.data - before, before)) continue;
        const char* byte = past ? end : array.data - 1;
        while (*byte == static_cast<char>(kPoison)) byte += past ? 1 : -1;
        return "shared memory overrun: wrote " + std::to_string(past ? byte - end : array.data - byte) + " bytes " +
               (past ? "past the end of" : "before") + " array " + std::to_string(i) + " (" + std::to_string(array.bytes) +
               " bytes)";
    }
    return "";
}

}  // namespace ww::sim
