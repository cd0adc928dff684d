// cp.async: 16 bytes (or 8, or 4) from global to shared memory, in flight until a wait for its group.
#include <cstring>

#include "engine/cuda/sim/block.h"
#include "engine/cuda/sim/sanitizers.h"

namespace ww::sim {
namespace {

void land(const AsyncCopy& copy) {
    current->last = "cp.async", current->at = copy.at;  // a fault in here is that instruction's
    if (copy.copied) tsan_reads(const_cast<char*>(copy.from), static_cast<size_t>(copy.copied));
    tsan_writes(copy.to, static_cast<size_t>(copy.bytes));
    Quiet quiet;
    std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.copied));
    std::memset(copy.to + copy.copied, 0, static_cast<size_t>(copy.bytes - copy.copied));
}

}  // namespace

void issue_copy(uint32_t to, const void* from, int bytes, int copied, Location at) {
    Inside inside("cp.async", at);
    Thread& self = *current;
    if (copied < 0 || copied > bytes) launch_fail(at, "cp.async: expected to copy at most %d bytes, got %d", bytes, copied);
    if (to % static_cast<uint32_t>(bytes))
        launch_fail(at, "cp.async: misaligned: expected a shared address that is a multiple of %d, got %u", bytes, to);
    if (copied && reinterpret_cast<uintptr_t>(from) % static_cast<uintptr_t>(bytes))
        launch_fail(at, "cp.async: misaligned: expected a global address that is a multiple of %d, got %p", bytes, from);
    AsyncCopy copy{shared_pointer(to, static_cast<size_t>(bytes), "cp.async", at), static_cast<const char*>(from), bytes, copied,
                   at};
    bool now = machine->options.asynchrony == Asynchrony::eager ||
               (machine->options.asynchrony == Asynchrony::random && current->block->random.coin());
    if (now) return land(copy);
    if (self.copy_count == Thread::kMaxCopies)
        launch_fail(at, "cp.async: expected at most %d copies in flight in a thread", Thread::kMaxCopies);
    if (kTsan) {  // it may land from now on
        tsan_writes(copy.to, static_cast<size_t>(bytes));
        Quiet quiet;
        std::memset(copy.to, 0xFF, static_cast<size_t>(bytes));
    }
    self.copies[self.copy_count++] = copy;
}

void commit_copies(Location at) {
    Inside inside("cp.async.commit_group", at);
    Thread& self = *current;
    if (self.group_count == Thread::kMaxGroups)
        launch_fail(at, "cp.async.commit_group: expected at most %d groups in flight in a thread", Thread::kMaxGroups);
    self.group_ends[self.group_count++] = self.copy_count;
}

void wait_copies(int groups_left, Location at) {
    Inside inside("cp.async.wait_group", at);
    Thread& self = *current;
    int landed = self.group_count - groups_left;
    if (landed <= 0) return;
    int end = self.group_ends[landed - 1];
    for (int i = 0; i < end; i++) land(self.copies[i]);
    std::memmove(self.copies, self.copies + end, static_cast<size_t>(self.copy_count - end) * sizeof(AsyncCopy));
    self.copy_count -= end;
    for (int i = landed; i < self.group_count; i++) self.group_ends[i - landed] = self.group_ends[i] - end;
    self.group_count -= landed;
}

}  // namespace ww::sim
