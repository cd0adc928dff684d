// Barriers of a block and meetings of a warp. Each carries its place in the source, so that threads which wait at different places
// get an error that names both.
#include <cstring>

#include "engine/cuda/sim/block.h"
#include "engine/cuda/sim/sanitizers.h"

namespace ww::sim {

// count < 0: all threads of the block (__syncthreads); else those that a named barrier expects. Without `wait`: bar.arrive.
void block_barrier(int id, int count, bool wait, Location at, const char* what, const void* place) {
    Inside inside(what, at);
    Quiet quiet;
    Block& block = *current->block;
    if (count >= 0 && (id < 1 || id > 15))
        launch_fail(at, "%s: expected a barrier in [1, 16), got %d%s", what, id, id ? "" : ", which is that of __syncthreads");
    if (count < 0 && current->warp->exited)
        launch_fail(at, "%s: expected whole warps to exit, got lanes %08x of this one that have returned", what,
                    current->warp->exited);
    if (count == 0 || (count > 0 && count % 32))
        launch_fail(at, "%s %d: expected a number of threads that is a multiple of 32, got %d", what, id, count);
    NamedBarrier& barrier = block.barriers[id];
    if (barrier.arrived == 0) {
        barrier.expected = count;
        barrier.at = at;
        barrier.what = what;
        barrier.place = place;
    } else if (barrier.expected != count) {
        launch_fail(at, "%s %d: expected the number of threads that those at %s:%d wait for, %d, got %d", what, id, barrier.at.file,
                    barrier.at.line, barrier.expected, count);
    } else if (count < 0 && (barrier.place != place || !(barrier.at == at))) {
        launch_fail(at, "divergent %s: this thread is here, while %d of its block wait at %s%s:%d", what, barrier.arrived,
                    barrier.at == at ? "another of this line, " : "", barrier.at.file, barrier.at.line);
    }
    unsigned generation = barrier.generation;
    tsan_release(&barrier.order[generation & 1]);
    int expected = count < 0 ? static_cast<int>(block.live) : count;
    if (++barrier.arrived == expected) {
        std::string& overrun = machine->detail = shared_overrun(block, 256);
        if (!overrun.empty()) {
            overrun += std::string(", seen in ") + what + " at " + name_of(at);
            block_fail();
        }
        barrier.arrived = 0;
        barrier.generation++;
        if (wait && !(machine->options.order == Order::lockstep && barrier.waiting.empty())) {
            barrier.waiting.push_back(current);
            make_ready_all(barrier.waiting);
            wait_here(what, at);
        } else {
            make_ready_all(barrier.waiting);
        }
    } else if (wait) {
        barrier.waiting.push_back(current);
        wait_here(what, at);
    }
    if (!wait) return;
    tsan_acquire(&barrier.order[generation & 1]);
    maybe_land_copies();
}

// A thread returns. __syncthreads counts those that have not; a warp's lanes must all be there when they meet.
void leave_barriers(Thread* thread) {
    Block& block = *thread->block;
    Warp& warp = *thread->warp;
    block.live--;
    warp.exited |= 1u << thread->lane;
    for (int i = 0; i < warp.meeting_count; i++) {
        const Rendezvous& meeting = warp.meetings[i];
        if (meeting.mask >> thread->lane & 1)
            launch_fail(meeting.at,
                        "%s: this lane has returned from the kernel, while lanes %08x of its warp wait for it (mask %08x)",
                        meeting.what, meeting.arrived, meeting.mask);
    }
    if (thread->copy_count)
        launch_fail(thread->at, "cp.async: expected a wait for every copy, got a thread that returns with %d in flight",
                    thread->copy_count);
    check_wgmma_done(warp);
    if (block.live == 0) check_copies_awaited(block);
    NamedBarrier& barrier = block.barriers[0];
    for (const Thread* other : barrier.waiting)
        if (other->warp == &warp)
            launch_fail(other->at, "%s: expected whole warps to exit, got this lane, which has returned, while lane %u waits here",
                        barrier.what, other->lane);
    if (barrier.arrived && barrier.expected < 0 && barrier.arrived == static_cast<int>(block.live)) {
        barrier.arrived = 0;
        barrier.generation++;
        make_ready_all(barrier.waiting);
    }
}

void warp_collective(uint32_t mask, const char* what, Location at, void* argument, Meet meet, bool orders_memory) {
    Inside inside(what, at);
    Quiet quiet;
    Thread* self = current;
    Warp& warp = *self->warp;
    uint32_t me = 1u << self->lane;
    if (!(mask & me)) launch_fail(at, "%s: expected a mask that names the calling lane, got %08x", what, mask);
    if (mask & warp.exited)
        launch_fail(at, "%s: expected lanes that are there, got mask %08x, of which lanes %08x have returned", what, mask,
                    mask & warp.exited);
    int i = 0;
    while (i < warp.meeting_count && warp.meetings[i].mask != mask) i++;
    if (i == warp.meeting_count) warp.meetings[warp.meeting_count++] = {mask, 0, what, at, {}};
    Rendezvous& meeting = warp.meetings[i];
    if (std::strcmp(meeting.what, what) || !(meeting.at == at))
        launch_fail(at, "divergent warp: this lane is in %s, while lanes %08x wait in %s at %s:%d", what, meeting.arrived,
                    meeting.what, meeting.at.file, meeting.at.line);
    meeting.arguments[self->lane] = argument;
    meeting.arrived |= me;
    if (orders_memory) tsan_release(&warp);
    if (meeting.arrived != mask) {
        wait_here(what, at);
    } else {
        if (meet) meet(meeting.arguments, mask);
        warp.meetings[i] = warp.meetings[--warp.meeting_count];
        uint32_t others = mask & ~me;
        if (machine->options.order == Order::forward) {
            for (int lane = 31; lane >= 0; lane--)
                if (others >> lane & 1) make_ready(warp.lanes[lane]);
        } else {
            for (int lane = 0; lane < 32; lane++)
                if (others >> lane & 1) make_ready(warp.lanes[lane]);
        }
        if (machine->options.order == Order::random) {
            make_ready(self);
            wait_here(what, at);
        }
    }
    if (orders_memory) tsan_acquire(&warp);
}

}  // namespace ww::sim
