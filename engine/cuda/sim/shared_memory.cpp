// Shared memory of a block: what the carver hands out, filled with NaN at the start, with a red zone behind (and before) each
// array.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "engine/cuda/sim/block.h"
#include "engine/cuda/sim/sanitizers.h"
#include "engine/error.h"

namespace ww::sim {
namespace {

constexpr size_t kRedZone = 256, kMaxAlignment = 1024;
constexpr size_t kZonesRoom = 64 * 1024;  // for red zones and the gaps that alignment leaves beside them
constexpr int kPoison = 0xFF, kZoneFill = 0xA5;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

void make_zone(Block& block, size_t begin, size_t end) {
    if (kAsan) asan_poison(block.shared + begin, end - begin);
    else std::memset(block.shared + begin, kZoneFill, end - begin);
}

}  // namespace

void prepare_shared(Block& block, size_t bytes) {
    size_t room = round_up(bytes + kZonesRoom, kMaxAlignment);
    if (block.shared_room != room) {
        if (block.shared) asan_unpoison(block.shared, block.shared_room);
        std::free(block.shared);
        block.shared_room = 0;
        block.shared = static_cast<char*>(std::aligned_alloc(kMaxAlignment, room));
        if (!block.shared) ww::fail<OutOfMemory>("kernel %s: expected %zu bytes for shared memory", machine->kernel, room);
        block.shared_room = room;
    }
    asan_unpoison(block.shared, room);
    std::memset(block.shared, kPoison, room);
    block.shared_asked = bytes;
    block.shared_end = kRedZone;
    block.shared_packed = 0;
    block.arrays.clear();
    make_zone(block, 0, kRedZone);
}

// The first thread to ask for its i-th array lays it out; all others must ask for the same.
char* take_shared(size_t bytes, size_t alignment, Location at) {
    Quiet quiet;
    Block& block = *current->block;
    size_t i = current->shared_arrays++;
    if (i < block.arrays.size()) {
        const SharedArray& array = block.arrays[i];
        if (array.bytes != bytes || array.alignment != alignment)
            launch_fail(
                at,
                "shared memory: expected array %zu of %zu bytes aligned to %zu, as other threads took it, got %zu aligned to %zu",
                i, array.bytes, array.alignment, bytes, alignment);
        return block.shared + array.begin;
    }
    if (alignment == 0 || alignment > kMaxAlignment || (alignment & (alignment - 1)))
        launch_fail(at, "shared memory: expected an alignment that is a power of two up to %zu, got %zu", kMaxAlignment, alignment);
    block.shared_packed = round_up(block.shared_packed, alignment) + bytes;
    if (block.shared_packed > block.shared_asked)
        launch_fail(at, "shared memory: expected arrays of at most the %zu bytes that the launch gave, got %zu", block.shared_asked,
                    block.shared_packed);
    size_t begin = round_up(block.shared_end, alignment), end = begin + bytes;
    if (end + kRedZone > block.shared_room)
        launch_fail(at, "shared memory: expected at most %zu arrays, for the simulator's red zones", block.arrays.size());
    make_zone(block, block.shared_end, begin);
    make_zone(block, end, end + kRedZone);
    block.shared_end = end + kRedZone;
    block.arrays.push_back({begin, bytes, alignment});
    return block.shared + begin;
}

uint32_t shared_address(const void* pointer, Location at) {
    const Block& block = *current->block;
    size_t offset = static_cast<size_t>(static_cast<const char*>(pointer) - block.shared);
    if (offset >= block.shared_room) launch_fail(at, "shared_address: expected a pointer into this block's shared memory");
    return kSharedWindow + static_cast<uint32_t>(offset);
}

char* shared_pointer(uint32_t address, size_t bytes, const char* what, Location at) {
    const Block& block = *current->block;
    size_t begin = address - size_t{kSharedWindow}, end = begin + bytes;
    for (const SharedArray& array : block.arrays)
        if (begin >= array.begin && end <= array.begin + array.bytes) return block.shared + begin;
    long long distance = 0;
    bool first = true;
    for (const SharedArray& array : block.arrays) {
        auto past = static_cast<long long>(end) - static_cast<long long>(array.begin + array.bytes);
        if (first || std::llabs(past) < std::llabs(distance)) distance = past;
        first = false;
    }
    launch_fail(at,
                "%s: expected %zu bytes within an array of shared memory, got address %u, which ends %lld bytes past the end of "
                "the nearest",
                what, bytes, address, distance);
}

std::string red_zone_report(const Block& block) {
    if (kAsan) return "";
    size_t from = 0;
    for (size_t i = 0; i <= block.arrays.size(); i++) {
        size_t to = i < block.arrays.size() ? block.arrays[i].begin : block.shared_end;
        for (size_t byte = from; byte < to; byte++) {
            if (static_cast<unsigned char>(block.shared[byte]) == kZoneFill) continue;
            if (i == 0) return "shared memory overrun: " + std::to_string(to - byte) + " bytes before the first array were written";
            return "shared memory overrun: byte " + std::to_string(byte - from) + " past the end of array " +
                   std::to_string(i - 1) + " (" + std::to_string(block.arrays[i - 1].bytes) + " bytes) was written";
        }
        if (i < block.arrays.size()) from = block.arrays[i].begin + block.arrays[i].bytes;
    }
    return "";
}

void check_red_zones(Block& block, const char* when, Location at) {
    std::string found = red_zone_report(block);
    if (!found.empty()) launch_fail(at, "%s (seen at %s)", found.c_str(), when);
}

}  // namespace ww::sim
