// mbarrier: a barrier that is an object in shared memory and counts arrivals and bytes; and the TMA copies that report to it.
//
// A phase ends when every arrival that it was initialised for has come and no bytes are outstanding. Waits name the phase by its
// parity. The block keeps what each object's 8 bytes must hold, so that an operation on one that was never initialised, or that
// something has overwritten, is an error.
#include <algorithm>
#include <cstring>

#include "engine/cuda/sim/block.h"
#include "engine/cuda/sim/guarded_memory.h"
#include "engine/cuda/sim/sanitizers.h"

namespace ww::sim {
namespace {

struct Mbarrier {
    uint32_t phase : 1, pending : 12, count : 12, unused : 7;
    int32_t bytes;
};
static_assert(sizeof(Mbarrier) == 8, "an mbarrier object is a b64");

Mbarrier* at_address(const Block& block, uint32_t address) { return reinterpret_cast<Mbarrier*>(shared_pointer(block, address)); }

// What is known of the object at `address`; nullptr where none was initialised.
const MbarrierRecord* kept(const Block& block, uint32_t address) {
    for (const MbarrierRecord& record : block.mbarriers)
        if (record.address == address) return &record;
    return nullptr;
}

bool overwritten(const Block& block, uint32_t address) {
    const MbarrierRecord* record = kept(block, address);
    return record && std::memcmp(&record->word, shared_pointer(block, address), sizeof record->word) != 0;
}

// After each change that is the machine's own.
void keep(Block& block, uint32_t address) {
    for (MbarrierRecord& record : block.mbarriers)
        if (record.address == address) std::memcpy(&record.word, shared_pointer(block, address), sizeof record.word);
}

void forget(Block& block, uint32_t address) {
    auto& all = block.mbarriers;
    all.erase(std::remove_if(all.begin(), all.end(), [&](auto& record) { return record.address == address; }), all.end());
}

// What would be lost with the object as it stands; "" for nothing.
std::string outstanding(const Block& block, uint32_t address) {
    const Mbarrier& barrier = *at_address(block, address);
    std::string text;
    auto add = [&](size_t count, const char* what) {
        if (count) text += (text.empty() ? "" : ", ") + std::to_string(count) + what;
    };
    if (barrier.pending != barrier.count) add(barrier.count - barrier.pending, " arrivals in its phase");
    if (barrier.bytes > 0) add(static_cast<size_t>(barrier.bytes), " bytes to come");
    auto reports_to = [&](const TensorCopy& copy) { return copy.barrier == address; };
    add(static_cast<size_t>(std::count_if(block.tensor_copies.begin(), block.tensor_copies.end(), reports_to)),
        " copies in flight");
    auto waits = [&](const Thread* thread) { return thread->waits_for == address; };
    add(static_cast<size_t>(std::count_if(block.mbarrier_waiters.begin(), block.mbarrier_waiters.end(), waits)),
        " threads waiting");
    return text;
}

Mbarrier* find(uint32_t address, const char* what, Location at) {
    const Block& block = *current->block;
    if (address % 8) launch_fail(at, "%s: misaligned: expected an mbarrier at a multiple of 8, got %u", what, address);
    auto* found = reinterpret_cast<Mbarrier*>(shared_pointer(address, 8, what, at));
    if (!kept(block, address))
        launch_fail(at, "%s: expected an mbarrier at shared address %u, got what was never initialised as one", what, address);
    if (overwritten(block, address))
        launch_fail(at, "%s: expected an mbarrier at shared address %u, got what something else has overwritten", what, address);
    return found;
}

// What TSan synchronises one phase on: a byte of the object itself.
char* order_of(const Block& block, uint32_t address, unsigned phase) { return shared_pointer(block, address) + phase; }

void end_phase_if_complete(Block& block, Mbarrier* barrier, uint32_t address) {
    if (barrier->pending || barrier->bytes) return keep(block, address);
    barrier->phase ^= 1;
    barrier->pending = barrier->count;
    keep(block, address);
    std::vector<Thread*> released;
    auto& waiting = block.mbarrier_waiters;
    for (size_t i = 0; i < waiting.size();) {
        if (waiting[i]->waits_for == address) {
            released.push_back(waiting[i]);
            waiting[i] = waiting.back();
            waiting.pop_back();
        } else {
            i++;
        }
    }
    make_ready_all(released);
}

// The 16-byte chunks of a 128-byte row are permuted by the row's number in its group of 8 (PTX ISA, "Swizzling Modes").
uint32_t swizzle_128(uint32_t address) { return address ^ (address >> 7 & 7) << 4; }

void land(Block& block, const TensorCopy& copy) {
    const TensorMap& map = copy.map;
    uint32_t row_bytes = map.box[0] * map.item_bytes;
    for (uint32_t row = 0; row < map.box[1]; row++) {
        for (uint32_t column = 0; column < map.box[0]; column++) {
            int64_t x = copy.x + static_cast<int64_t>(column), y = copy.y + static_cast<int64_t>(row);
            uint32_t to = copy.to + row * row_bytes + column * map.item_bytes;
            if (map.swizzle_128) to = swizzle_128(to);
            char* target = shared_pointer(block, to);
            bool inside = x >= 0 && y >= 0 && x < static_cast<int64_t>(map.shape[0]) && y < static_cast<int64_t>(map.shape[1]);
            if (inside)
                std::memcpy(target, map.base + static_cast<uint64_t>(y) * map.row_bytes + static_cast<uint64_t>(x) * map.item_bytes,
                            map.item_bytes);
            else std::memset(target, 0, map.item_bytes);
        }
    }
    if (overwritten(block, copy.barrier)) return;  // whoever waits for it learns that
    Mbarrier* barrier = at_address(block, copy.barrier);
    barrier->bytes -= static_cast<int32_t>(row_bytes * map.box[1]);
    end_phase_if_complete(block, barrier, copy.barrier);
}

}  // namespace

void mbarrier_init(uint32_t address, uint32_t count, Location at) {
    Inside inside("mbarrier.init", at);
    require_arch(90, "mbarrier.init", at);
    Quiet quiet;
    if (count == 0 || count > 4095) launch_fail(at, "mbarrier.init: expected a count in [1, 4096), got %u", count);
    if (address % 8)
        launch_fail(at, "mbarrier.init: misaligned: expected a shared address that is a multiple of 8, got %u", address);
    auto* barrier = reinterpret_cast<Mbarrier*>(shared_pointer(address, 8, "mbarrier.init", at));
    Block& block = *current->block;
    const MbarrierRecord* other = kept(block, address);
    if (other && !overwritten(block, address)) {
        std::string& use = machine->detail = outstanding(block, address);
        if (!use.empty()) use = ", with " + use;
        launch_fail(at,
                    "mbarrier.init: expected memory that holds no mbarrier, got the one that thread %u of the block initialised at "
                    "%s:%d%s (mbarrier_invalidate ends one)",
                    other->by->linear, other->at.file, other->at.line, use.c_str());
    }
    *barrier = {0, count, count, 0, 0};
    forget(block, address);
    block.mbarriers.push_back({address, 0, at, current});
    keep(block, address);
}

void mbarrier_invalidate(uint32_t address, Location at) {
    Inside inside("mbarrier.inval", at);
    require_arch(90, "mbarrier.inval", at);
    Quiet quiet;
    Block& block = *current->block;
    find(address, "mbarrier.inval", at);
    std::string& use = machine->detail = outstanding(block, address);
    if (!use.empty()) launch_fail(at, "mbarrier.inval: expected an mbarrier that is not in use, got one with %s", use.c_str());
    forget(block, address);
}

void mbarrier_arrive(uint32_t address, uint32_t count, int32_t bytes, Location at) {
    Inside inside("mbarrier.arrive", at);
    require_arch(90, "mbarrier.arrive", at);
    Quiet quiet;
    Block& block = *current->block;
    Mbarrier* barrier = find(address, "mbarrier.arrive", at);
    tsan_release(order_of(block, address, barrier->phase));
    if (barrier->pending < count)
        launch_fail(at, "mbarrier.arrive: expected at most %u arrivals in a phase, got one more",
                    static_cast<unsigned>(barrier->count));
    barrier->bytes += bytes;
    barrier->pending -= count;
    end_phase_if_complete(block, barrier, address);
}

void mbarrier_wait(uint32_t address, uint32_t parity, Location at) {
    Inside inside("mbarrier.try_wait", at);
    require_arch(90, "mbarrier.try_wait", at);
    Quiet quiet;
    Block& block = *current->block;
    while (find(address, "mbarrier.try_wait", at)->phase == parity) {
        current->waits_for = address;
        block.mbarrier_waiters.push_back(current);
        wait_here("mbarrier.try_wait", at);
    }
    tsan_acquire(order_of(block, address, parity));
    auto& copies = block.unawaited;
    copies.erase(std::remove_if(copies.begin(), copies.end(),
                                [&](const TensorCopy& copy) { return copy.barrier == address && copy.phase == parity; }),
                 copies.end());
    maybe_land_copies();
}

// What is in flight when a block ends lands in the shared memory of another, if anywhere. That it has landed by then is luck, where
// no thread has waited for it.
void check_copies_awaited(const Block& block) {
    for (const auto* copies : {&block.tensor_copies, &block.unawaited})
        if (!copies->empty())
            launch_fail(*copies->front().by, copies->front().at,
                        "cp.async.bulk.tensor: expected a wait for its mbarrier before the block ends, got a copy that %s",
                        copies == &block.unawaited ? "nobody waited for" : "is in flight");
}

Thread* waits_in_vain(const Block& block) {
    for (Thread* thread : block.mbarrier_waiters)
        if (overwritten(block, static_cast<uint32_t>(thread->waits_for))) return thread;
    return nullptr;
}

std::string describe_mbarriers(const Block& block) {
    std::string text;
    std::vector<uint64_t> told;
    for (Thread* thread : block.mbarrier_waiters) {
        bool known = false;
        for (uint64_t address : told) known |= address == thread->waits_for;
        if (known) continue;
        told.push_back(thread->waits_for);
        const Mbarrier* barrier = at_address(block, static_cast<uint32_t>(thread->waits_for));
        text += ", mbarrier at shared address " + std::to_string(thread->waits_for) + " lacks " + std::to_string(barrier->pending) +
                " of " + std::to_string(barrier->count) + " arrivals and " + std::to_string(barrier->bytes) + " bytes";
    }
    return text;
}

void tensor_copy(uint32_t to, const TensorMap* map, int x, int y, uint32_t barrier, Location at) {
    const char* what = "cp.async.bulk.tensor";
    Inside inside(what, at);
    require_arch(90, what, at);
    Block& block = *current->block;
    uint32_t row = map->box[0] * map->item_bytes, bytes = row * map->box[1];
    uint32_t alignment = map->swizzle_128 ? 1024 : 128;
    if (to % alignment)
        launch_fail(at, "%s: misaligned: expected a shared address that is a multiple of %u, got %u", what, alignment, to);
    if (map->swizzle_128 && row != 128)
        launch_fail(at, "%s: expected a box of 128 bytes a row for the 128-byte swizzle, got %u", what, row);
    if (row % 16) launch_fail(at, "%s: expected a box with a multiple of 16 bytes a row, got %u", what, row);
    if (map->box[0] == 0 || map->box[0] > 256 || map->box[1] == 0 || map->box[1] > 256)
        launch_fail(at, "%s: expected a box of 1 to 256 elements a side, got %u x %u", what, map->box[0], map->box[1]);
    if (reinterpret_cast<uintptr_t>(map->base) % 16 || map->row_bytes % 16)
        launch_fail(at, "%s: misaligned: expected a global tensor and rows at multiples of 16 bytes", what);
    // It may land when no thread runs: the tensor must be there now.
    if (!is_guarded(map->base, (map->shape[1] - 1) * map->row_bytes + map->shape[0] * map->item_bytes)) {
        machine->detail = describe_global(map->base);
        launch_fail(at, "%s: expected a tensor within one block of global memory, got %llu rows of %llu bytes: %s", what,
                    static_cast<unsigned long long>(map->shape[1]), static_cast<unsigned long long>(map->row_bytes),
                    machine->detail.c_str());
    }
    char* target = shared_pointer(to, bytes, what, at);
    tsan_writes(target, bytes);
    Quiet quiet;
    Mbarrier* reports_to = find(barrier, what, at);
    tsan_release(order_of(block, barrier, reports_to->phase));
    TensorCopy copy{*map, to, x, y, barrier, reports_to->phase, at, current};
    block.unawaited.push_back(copy);
    if (machine->options.asynchrony == Asynchrony::eager) land(block, copy);
    else block.tensor_copies.push_back(copy);
}

bool land_one_copy() {
    Quiet quiet;
    for (Block* block : machine->gang) {
        auto& copies = block->tensor_copies;
        if (copies.empty()) continue;
        size_t i = machine->options.asynchrony == Asynchrony::random ? block->random.below(copies.size()) : 0;
        TensorCopy copy = copies[i];
        copies.erase(copies.begin() + static_cast<ptrdiff_t>(i));
        land(*block, copy);
        return true;
    }
    return false;
}

}  // namespace ww::sim
