// wgmma.mma_async: D (64 x n, in registers of four warps) += A (64 x 16) B^T (n x 16), both in shared memory, read when the
// hardware gets to it. Each warp's 16 rows are one operation here. Accumulators hold NaN while an operation on them is in flight.
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
    for (int row = 0; row < kRows; row++)
        for (int k = 0; k < kDepth; k++) a[row][k] = read_element(block, op.a, first_row(warp) + row, k, op.half);
    for (int column = 0; column < op.columns; column++)
        for (int k = 0; k < kDepth; k++) b[k][column] = read_element(block, op.b, column, k, op.half);
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < registers; i++) c[row_of(lane, i)][column_of(lane, i)] = op.accumulate ? op.before[lane][i] : 0.0f;
    for (int row = 0; row < kRows; row++)
        for (int k = 0; k < kDepth; k++)
            for (int column = 0; column < op.columns; column++) c[row][column] += a[row][k] * b[k][column];
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < registers; i++) op.accumulators[lane][i] = c[row_of(lane, i)][column_of(lane, i)];
}

void hide(WgmmaOp& op) {
    for (int lane = 0; lane < 32; lane++)
        std::memset(op.accumulators[lane], 0xFF, sizeof(float) * static_cast<size_t>(op.columns / 2));
}

// Runs the oldest `count` operations. A later one on the same accumulators takes over their values and hides them again.
void run_oldest(Warp& warp, size_t count) {
    for (size_t i = 0; i < count; i++) {
        WgmmaOp* op = warp.wgmma[i];
        execute(warp, *op);
        for (size_t j = i + 1; j < warp.wgmma.size(); j++) {
            WgmmaOp* later = warp.wgmma[j];
            if (later->accumulators[0] != op->accumulators[0]) continue;
            for (int lane = 0; lane < 32; lane++)
                std::memcpy(later->before[lane], op->accumulators[lane], sizeof(float) * static_cast<size_t>(op->columns / 2));
            hide(*later);
            break;
        }
        delete op;
    }
    warp.wgmma.erase(warp.wgmma.begin(), warp.wgmma.begin() + static_cast<ptrdiff_t>(count));
    for (size_t& end : warp.wgmma_groups) end -= std::min(end, count);
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
    check_operand(first.a, first_row(warp), kRows, first.at);
    check_operand(first.b, 0, first.columns, first.at);
    auto* op = new WgmmaOp;
    op->columns = first.columns, op->a = first.a, op->b = first.b, op->accumulate = first.accumulate, op->half = first.half;
    for (int lane = 0; lane < 32; lane++) {
        const Issue& own = *static_cast<Issue*>(arguments[lane]);
        if (own.a != first.a || own.b != first.b || own.accumulate != first.accumulate)
            launch_fail(first.at, "wgmma: expected the same descriptors in all lanes, lane %d has others", lane);
        op->accumulators[lane] = own.accumulators;
    }
    bool chained = false;
    for (const WgmmaOp* other : warp.wgmma) chained |= other->accumulators[0] == op->accumulators[0];
    if (!chained) {
        for (int lane = 0; lane < 32; lane++)
            std::memcpy(op->before[lane], op->accumulators[lane], sizeof(float) * static_cast<size_t>(op->columns / 2));
        hide(*op);
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
    warp_collective(~0u, "wgmma.fence", at, nullptr, nullptr);
    current->wgmma_fenced = true;
}

void wgmma_commit(Location at) {
    warp_collective(~0u, "wgmma.commit_group", at, nullptr,
                    [](void**, uint32_t) { current->warp->wgmma_groups.push_back(current->warp->wgmma.size()); });
}

void wgmma_wait(int groups_left, Location at) {
    for (const WgmmaOp* op : current->warp->wgmma) mark_reads(*current->block, *current->warp, op->a, op->b, op->columns);
    warp_collective(~0u, "wgmma.wait_group", at, &groups_left, [](void** arguments, uint32_t) {
        Warp& warp = *current->warp;
        auto& groups = warp.wgmma_groups;
        size_t left = static_cast<size_t>(*static_cast<int*>(arguments[0]));
        if (groups.size() <= left) return;
        size_t landed = groups.size() - left;
        run_oldest(warp, groups[landed - 1]);
        groups.erase(groups.begin(), groups.begin() + static_cast<ptrdiff_t>(landed));
    });
    if (groups_left == 0) current->wgmma_fenced = false;
}

}  // namespace ww::sim
