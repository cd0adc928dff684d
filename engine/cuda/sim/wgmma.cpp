// wgmma.mma_async: D (64 x n, in registers of four warps) += A (64 x 16) B^T (n x 16), both in shared memory, read when the
// hardware gets to it. Each warp's 16 rows are one operation here. Accumulators hold NaN until the wait, whenever the operation
// ran: what is read too early shows under every schedule.
//
// Only what the kernels use is emulated: bf16 and f16 operands, both K-major with the 128-byte swizzle (PTX ISA, "Asynchronous
// Warpgroup Level Matrix Shared Memory Layout").
#include <algorithm>
#include <cstring>
#include <memory>

#include "engine/cuda/sim/block.h"
#include "engine/cuda/sim/sanitizers.h"
#include "engine/cuda/sim/storage.h"

namespace ww::sim {
namespace {

constexpr int kRows = 16, kDepth = 16, kMaxColumns = 256;

// Where element (row, byte) of an operand lies, as the descriptor says.
uint32_t element_address(uint64_t descriptor, int row, int byte) {
    uint32_t start = static_cast<uint32_t>(descriptor & 0x3fff) << 4, group = static_cast<uint32_t>(descriptor >> 32 & 0x3fff) << 4;
    uint32_t address = start + static_cast<uint32_t>(row / 8) * group + static_cast<uint32_t>(row % 8 * 128 + byte);
    return address ^ (address >> 7 & 7) << 4;
}

float read_element(const Block& block, uint64_t descriptor, int row, int k, bool half) {
    uint16_t bits;
    std::memcpy(&bits, shared_pointer(block, element_address(descriptor, row, 2 * k)), 2);
    return half ? half_bits_to_float(bits) : bf16_bits_to_float(bits);
}

// Row and column, within a warp's 16 rows, of a lane's accumulator i.
int row_of(int lane, int i) { return lane / 4 + 8 * (i / 2 % 2); }
int column_of(int lane, int i) { return 8 * (i / 4) + lane % 4 * 2 + i % 2; }

int first_row(const Warp& warp) { return static_cast<int>(warp.lanes[0]->linear / 32 % 4) * kRows; }

void check_operand(uint64_t descriptor, int begin, int rows, Location at) {
    if (descriptor >> 62 != 1) launch_fail(at, "wgmma: expected a descriptor with the 128-byte swizzle");
    for (int row = begin; row < begin + rows; row++)
        shared_pointer(element_address(descriptor, row, 0) & ~15u, 16, "wgmma operand", at);
}

struct Tiles {
    float a[kRows][kDepth], b[kDepth][kMaxColumns], c[kRows][kMaxColumns];
};

void execute(Warp& warp, WgmmaOp& op) {
    const Block& block = *warp.block;
    thread_local std::unique_ptr<Tiles> tiles(
        new Tiles);  // not on the fibre's small stack, nor in static TLS, of which a module has little
    auto& [a, b, c] = *tiles;
    int registers = op.columns / 2;
    op.ran = true;
    for (int row = 0; row < kRows; row++)
        for (int k = 0; k < kDepth; k++) a[row][k] = read_element(block, op.a, first_row(warp) + row, k, op.half);
    for (int column = 0; column < op.columns; column++)
        for (int k = 0; k < kDepth; k++) b[k][column] = read_element(block, op.b, column, k, op.half);
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < registers; i++) c[row_of(lane, i)][column_of(lane, i)] = op.accumulate ? op.values[lane][i] : 0.0f;
    for (int row = 0; row < kRows; row++)
        for (int k = 0; k < kDepth; k++)
            for (int column = 0; column < op.columns; column++) c[row][column] += a[row][k] * b[k][column];
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < registers; i++) op.values[lane][i] = c[row_of(lane, i)][column_of(lane, i)];
}

// What accumulators hold from the issue to the wait: a NaN that signals, for arithmetic makes a quiet one of it. So a register that
// was only scaled is told from one that nobody touched.
constexpr uint32_t kInFlight = 0xFFBFFFFF;

size_t accumulator_bytes(const WgmmaOp& op) { return sizeof(float) * static_cast<size_t>(op.columns / 2); }

// The next operation on the same accumulators, from number i on; nullptr where there is none.
WgmmaOp* next_on_same(const Warp& warp, const WgmmaOp& op, size_t i) {
    while (i < warp.wgmma.size() && warp.wgmma[i]->accumulators[0] != op.accumulators[0]) i++;
    return i < warp.wgmma.size() ? warp.wgmma[i] : nullptr;
}

// Runs the oldest `count` operations, but for those that have run. A later one on the same accumulators takes over their values.
void run_oldest(Warp& warp, size_t count) {
    for (size_t i = 0; i < count; i++) {
        WgmmaOp& op = *warp.wgmma[i];
        if (op.ran) continue;
        execute(warp, op);
        if (WgmmaOp* later = next_on_same(warp, op, i + 1)) std::memcpy(later->values, op.values, sizeof op.values);
    }
}

// The wait for the oldest `count`: accumulators that no later operation has get their values.
void finish_oldest(Warp& warp, size_t count) {
    run_oldest(warp, count);
    auto untouched = [](const WgmmaOp& op, int lane) {
        const float* const registers = op.accumulators[lane];
        return std::all_of(registers, registers + op.columns / 2,
                           [](const float& value) { return std::memcmp(&value, &kInFlight, sizeof kInFlight) == 0; });
    };
    for (size_t i = 0; i < count; i++) {
        WgmmaOp* op = warp.wgmma[i];
        for (int lane = 0; lane < 32 && !next_on_same(warp, *op, i + 1); lane++) {
            if (!untouched(*op, lane))
                launch_fail(
                    *warp.lanes[lane], op->at,
                    "wgmma: expected accumulators that nobody touches between the operation and the wait, got some that this "
                    "thread has written");
            std::memcpy(op->accumulators[lane], op->values[lane], accumulator_bytes(*op));
        }
    }
    for (size_t i = 0; i < count; i++) delete warp.wgmma[i];
    warp.wgmma.erase(warp.wgmma.begin(), warp.wgmma.begin() + static_cast<ptrdiff_t>(count));
    for (size_t& end : warp.wgmma_groups) end -= std::min(end, count);
}

unsigned number_of(const Warp& warp) { return warp.lanes[0]->linear / 32; }

// Each wgmma instruction is one of the whole warpgroup (".aligned"): its warps come to the same ones, in the same order.
void follow_warpgroup(const char* what, Location at, uint64_t a = 0, uint64_t b = 0) {
    const Warp& warp = *current->warp;
    Block& block = *warp.block;
    const unsigned number = number_of(warp), first = number / 4 * 4;
    if (first + 4 > block.warps.size())
        launch_fail(at, "%s: expected a warpgroup of four warps, got a block that ends after %zu of warpgroup %u", what,
                    block.warps.size() - first, number / 4);
    Warpgroup& group = block.warpgroups[number / 4];
    const size_t step = group.done[number % 4]++;
    for (unsigned other = 0; other < 4; other++)
        if (block.warps[first + other].exited == ~0u && group.done[other] <= step)
            launch_fail(at, "%s: expected all four warps of the warpgroup, got warp %u, which has returned", what, first + other);
    if (step == group.past + group.steps.size()) return group.steps.push_back({what, at, a, b, number});
    const WgmmaStep& seen = group.steps[step - group.past];
    if (std::strcmp(seen.what, what) || !(seen.at == at))
        launch_fail(at, "divergent warpgroup: this warp is in %s, where warp %u of its warpgroup was in %s at %s:%d", what,
                    seen.warp, seen.what, seen.at.file, seen.at.line);
    if (seen.a != a || seen.b != b)
        launch_fail(at, "%s: expected the same operands in all four warps of the warpgroup, got others than in warp %u", what,
                    seen.warp);
    const size_t all = *std::min_element(group.done, group.done + 4);
    group.steps.erase(group.steps.begin(), group.steps.begin() + static_cast<ptrdiff_t>(all - group.past));
    group.past = all;
}

struct Issue {
    float* accumulators;
    int columns;
    uint64_t a, b;
    bool accumulate, half;
    Location at;
};

void issue_for_warp(void** arguments, uint32_t) {
    Warp& warp = *current->warp;
    const Issue& first = *static_cast<Issue*>(arguments[0]);
    follow_warpgroup("wgmma.mma_async", first.at, first.a, first.b);
    check_operand(first.a, first_row(warp), kRows, first.at);
    check_operand(first.b, 0, first.columns, first.at);
    auto* op = new WgmmaOp;
    op->columns = first.columns, op->a = first.a, op->b = first.b, op->accumulate = first.accumulate, op->half = first.half;
    op->ran = false, op->at = first.at;
    for (int lane = 0; lane < 32; lane++) {
        const Issue& own = *static_cast<Issue*>(arguments[lane]);
        if (own.a != first.a || own.b != first.b || own.accumulate != first.accumulate)
            launch_fail(first.at, "wgmma: expected the same descriptors in all lanes, lane %d has others", lane);
        op->accumulators[lane] = own.accumulators;
    }
    const WgmmaOp* before = nullptr;
    for (const WgmmaOp* other : warp.wgmma)
        if (other->accumulators[0] == op->accumulators[0]) before = other;
    if (before) {
        std::memcpy(op->values, before->values, sizeof op->values);
    } else {
        for (int lane = 0; lane < 32; lane++) {
            std::memcpy(op->values[lane], op->accumulators[lane], accumulator_bytes(*op));
            for (int i = 0; i < op->columns / 2; i++) std::memcpy(op->accumulators[lane] + i, &kInFlight, sizeof kInFlight);
        }
    }
    warp.wgmma.push_back(op);
    if (machine->options.asynchrony == Asynchrony::random && warp.block->random.below(4) == 0)
        run_oldest(warp, 1 + warp.block->random.below(warp.wgmma.size()));
}

// What this warp's operations read, for TSan.
void mark_reads(const Block& block, const Warp& warp, uint64_t a, uint64_t b, int columns) {
    if (!kTsan || current->lane) return;
    for (int row = 0; row < kRows; row++) tsan_reads(shared_pointer(block, element_address(a, first_row(warp) + row, 0)), 16);
    for (int row = 0; row < columns; row++) tsan_reads(shared_pointer(block, element_address(b, row, 0)), 16);
}

}  // namespace

void wgmma_issue(float* accumulators, int columns, uint64_t a, uint64_t b, bool accumulate, bool half, Location at) {
    Inside inside("wgmma.mma_async", at);
    require_arch(90, "wgmma.mma_async", at);
    if (!current->wgmma_fenced)
        launch_fail(at, "wgmma: expected wgmma.fence between the last use of the accumulators and the operation, got none");
    mark_reads(*current->block, *current->warp, a, b, columns);
    Issue issue{accumulators, columns, a, b, accumulate, half, at};
    warp_collective(~0u, "wgmma.mma_async", at, &issue, issue_for_warp);
}

void wgmma_fence(Location at) {
    warp_collective(~0u, "wgmma.fence", at, nullptr, [](void**, uint32_t) { follow_warpgroup("wgmma.fence", current->at); });
    current->wgmma_fenced = true;
}

void wgmma_commit(Location at) {
    warp_collective(~0u, "wgmma.commit_group", at, nullptr, [](void**, uint32_t) {
        follow_warpgroup("wgmma.commit_group", current->at);
        current->warp->wgmma_groups.push_back(current->warp->wgmma.size());
    });
}

void wgmma_wait(int groups_left, Location at) {
    for (const WgmmaOp* op : current->warp->wgmma) mark_reads(*current->block, *current->warp, op->a, op->b, op->columns);
    warp_collective(~0u, "wgmma.wait_group", at, &groups_left, [](void** arguments, uint32_t) {
        Warp& warp = *current->warp;
        auto& groups = warp.wgmma_groups;
        size_t left = static_cast<size_t>(*static_cast<int*>(arguments[0]));
        follow_warpgroup("wgmma.wait_group", current->at, left);
        if (groups.size() <= left) return;
        size_t landed = groups.size() - left;
        finish_oldest(warp, groups[landed - 1]);
        groups.erase(groups.begin(), groups.begin() + static_cast<ptrdiff_t>(landed));
    });
    if (groups_left == 0) current->wgmma_fenced = false;
}

void check_wgmma_done(const Warp& warp) {
    if (!warp.wgmma.empty())
        launch_fail(warp.wgmma.front()->at,
                    "wgmma: expected a wait for every operation, got a warp that returns with %zu in flight", warp.wgmma.size());
    const Warpgroup& group = warp.block->warpgroups[number_of(warp) / 4];
    const size_t done = group.done[number_of(warp) % 4];
    if (warp.exited != ~0u || done == group.past + group.steps.size()) return;
    const WgmmaStep& missed = group.steps[done - group.past];
    launch_fail(missed.at, "%s: expected all four warps of the warpgroup, got this one, which returns, where warp %u was in it",
                missed.what, missed.warp);
}

}  // namespace ww::sim
