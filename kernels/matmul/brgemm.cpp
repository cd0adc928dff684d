// out = activation(x @ w + bias) on the batch-reduce GEMM microkernel.
//
// Source: the loops of Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication", sections 4 and 5, around
// the microkernel of kernels/common/brgemm.h. The output is cut into blocks of m_block x n_block, which are the parallel jobs; k is
// cut into blocks of k_block, whose partial sums are added up in the output itself, in order; within one, chains of kChain
// multiply-adds are added up in the tile.
//
//   k_block   <= 384, so that a panel of B (k_block x a tile's columns) stays in L1 while the rows of A pass by it; 1024 with
//             AVX-512, whose panels come from L2 as fast as they are used, so that partial sums go to the output less often; half
//             as much again where k is then not cut at all. It depends on k alone (and the instruction set), so the order of every
//             sum does.
//   m_block   four tiles of A, m_block x k_block, or 72 KiB: it stays in L2 beside
//   n_block   a strip of B, k_block x n_block, of 384 KiB
//
// Large products pack each block of their operands once for all jobs. Nothing is packed that is read once or is small: rows of A
// are read in place when k is their unit stride, B when n is and it is small, or its panels are, or it meets three tiles of rows at
// most; then a large B is streamed in the order in which it lies, with the sums of a strip waiting in memory. x @ w is computed as
// (w^T @ x^T)^T when that spares the packing of a large operand, as in a linear layer, whose w is a transposed view, on a small
// batch. An element's bits are the same either way (see brgemm.h). Bound by arithmetic, or by reading w when m is small.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "engine/parallel.h"
#include "engine/simd.h"
#include "kernels/common/brgemm_on.h"
#include "kernels/common/epilogue.h"
#include "kernels/common/pack.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/problem.h"
#include "kernels/matmul/rows_of_a.h"

namespace ww::WW_ISA {
namespace {

constexpr bool kWide = Tile<float>::columns > 32;
constexpr int64_t kLongestBlock = kWide ? 1024 : 384;    // of k
constexpr int64_t kSingleBlock = kLongestBlock * 3 / 2;  // but so long a k is not cut: the output is written once
constexpr int64_t kChain = 384;                          // multiply-adds in one chain: rounding grows with its length
constexpr int64_t kBlockBytes = 72 * 1024;               // of A: m_block x k_block
constexpr int64_t kStripBytes = 384 * 1024;              // of B: k_block x n_block
// A B this small is read in place, for panels come from the second-level cache and the next as fast as wide vectors use them.
constexpr int64_t kInPlaceBytes = (Tile<float>::lanes >= 16 ? 2200 : Tile<float>::lanes >= 8 ? 512 : 256) * 1024;
constexpr int64_t kPanelBytes = 16 * 1024;
constexpr int64_t kCachedBytes = 8 * 1024 * 1024;  // of B that is read in place more than once
constexpr int64_t kChunkBytes = 5 * 1024 * 1024;   // of either packed operand
constexpr int64_t kWideBytes = 4 * 1024;           // of a row of B that is worth streaming
// Of a larger B that few rows of A meet: the strip of a job at most, rows read side by side, and panels asked for ahead.
constexpr int64_t kStreamBytes = 8 * 1024, kStreamRows = 16, kAhead = 4;
constexpr int64_t kJobWork = 256 * 1024;           // multiply-adds below which a job is not cut further
constexpr int64_t kSharedWork = 2 * 1024 * 1024;   // from here on packing operands once for all jobs is worth its barriers
constexpr int64_t kTurnedWork = 64 * 1024 * 1024;  // the same where B could be read in place
constexpr int64_t kSerialWork = 32 * 1024;         // and below which waking a thread costs more than it gives

struct Plan : Problem {
    bool pack_a, pack_b;
    bool shared;    // operands are packed once for all jobs, not by each for itself
    bool streamed;  // B is read in place, once, in the order in which it lies
    int64_t k_blocks, k_block, m_block, n_block, m_blocks, n_blocks;
    int64_t m_chunk, n_chunk;  // of the output, whose operands are packed at a time when shared
    int64_t jobs, slots;
    int64_t a_elements, slot_elements;  // of packed A, and of the workspace of a job (or of all of them, when shared)

    explicit Plan(const Problem& problem) : Problem(problem) {}
};

template <class T>
Plan make_plan(const Call& call, int threads) {
    constexpr int64_t size = sizeof(T), rows = Tile<T>::rows, columns = Tile<T>::columns;
    Plan p(read(call));
    if (better_transposed<T>(p)) transpose_problem(p);
    p.k_blocks = p.k <= kSingleBlock ? 1 : ceil_div(p.k, kLongestBlock);
    p.k_block = ceil_div(p.k, p.k_blocks);

    auto cut = [&](int64_t m_block, int64_t n_block) {
        p.m_block = std::max(rows, round_up(ceil_div(p.m, std::max<int64_t>(1, ceil_div(p.m, m_block))), rows));
        p.n_block = std::max(columns, round_up(ceil_div(p.n, std::max<int64_t>(1, ceil_div(p.n, n_block))), columns));
        p.m_blocks = ceil_div(p.m, p.m_block), p.n_blocks = ceil_div(p.n, p.n_block);
        p.jobs = p.batch * p.m_blocks * p.n_blocks;
    };
    p.m_chunk = p.m, p.n_chunk = p.n;
    p.streamed = p.b_column == 1 && p.m <= 3 * rows && p.n * size >= kWideBytes && p.k * p.n * size > kCachedBytes;
    if (p.streamed) {
        p.pack_a = p.pack_b = p.shared = false, p.a_elements = 0;
        cut(3 * rows, kStreamBytes / size);
        p.slot_elements = 2 * p.m_block * p.n_block;
        while (p.jobs < threads && p.n_block > 4 * columns) cut(3 * rows, p.n_block / 2);
        p.slots = std::max<int64_t>(1, std::min<int64_t>(p.jobs, threads));
        return p;
    }
    const int64_t row_bytes = size * std::max<int64_t>(p.k_block, 64);
    // Few rows stay together: each job packs the strip of B that it multiplies by all of them, and finds it in its cache. A that
    // is turned as it is packed is packed less often, for wider strips.
    const int64_t together = (p.a_k == 1 ? 24 : 8) * rows, strip_bytes = (p.a_k == 1 ? 1 : 2) * kStripBytes;
    cut(p.m <= together ? together : std::max(4 * rows, kBlockBytes / row_bytes), std::min(1024 / size, strip_bytes / row_bytes));

    // What is packed, and how much room it takes, must not depend on the number of threads: it may change before the call.
    // In place B is read once for each tile of rows: from the caches, unless it is larger or its rows share a few of their sets.
    const bool cached = p.k * p.n * size <= kCachedBytes && p.b_k * size % 8192 != 0;
    const bool few_tiles = p.m <= (cached ? 3 * rows : rows);
    // A panel of few rows stays in the first-level cache wherever it lies.
    const bool short_panel = p.k * columns * size <= kPanelBytes && p.b_k * size % 2048 != 0;
    // A that is turned as it is packed is packed once for all jobs, which packs B too, if it would be packed for several strips.
    const bool turned_once = p.a_k != 1 && p.m > together && p.n_blocks > 2 && p.m * p.n * p.k > kTurnedWork;
    p.pack_b = p.b_column != 1 || turned_once || (!few_tiles && !short_panel && p.k * p.n * size > kInPlaceBytes);
    p.shared = p.pack_b && p.m_blocks > 1 && p.batch < 8 && p.m * p.n * p.k > kSharedWork;
    // Rows of A that share a few sets of the cache are moved apart.
    const bool crowded = p.shared && p.n >= 8 * columns && p.a_row * size % 1024 == 0;
    p.pack_a = p.a_k == 1 ? crowded : p.k > (p.a_row == 1 ? 128 : 32) && p.n > columns;
    if (p.shared) {
        auto even = [&](int64_t length, int64_t tile) {
            const int64_t most = std::max(tile, kChunkBytes / size / p.k_block);
            return round_up(ceil_div(length, ceil_div(length, most)), tile);
        };
        if (p.pack_a) p.m_chunk = even(p.m, rows);
        p.n_chunk = even(p.n, columns);
    }
    p.a_elements = p.pack_a ? RowsOfA<T>::packed_size(p.shared ? p.m_chunk : p.m_block, p.k_block) : 0;
    p.slot_elements = p.a_elements + (p.pack_b ? packed_size<T>(p.k_block, p.shared ? p.n_chunk : p.n_block) : 0);

    while (threads > 1 && p.jobs < 8 * threads && p.m_block * p.n_block * p.k > kJobWork) {
        if (p.n_block > 2 * columns && p.n_block > p.m_block / 2) cut(p.m_block, p.n_block / 2);
        else if (p.m_block > 2 * rows) cut(p.m_block / 2, p.n_block);
        else break;
    }
    p.slots = std::max<int64_t>(1, std::min({p.jobs, static_cast<int64_t>(threads), p.batch * p.m * p.n * p.k / kSerialWork}));
    return p;
}

// One block of k: where its operands are read and what happens to the sums.
template <class T>
struct Step {
    RowsOfA<T> a;
    const T* b;          // column 0
    int64_t b_panel, k;  // from panel to panel; terms
    bool add, last;
};

// Rows [i0, i0 + m) times columns [j0, j0 + n), both counted from where the operands of the step begin.
template <class T>
void multiply(const Plan& p, const Step<T>& step, int64_t i0, int64_t m, int64_t j0, int64_t n, int64_t n_packed, T* c,
              const Epilogue<T>& epilogue) {
    constexpr int rows = Tile<T>::rows, columns = Tile<T>::columns;
    alignas(64) T tile[Tile<T>::size];
    const int64_t none = 0;
    for (int64_t j = j0; j < j0 + n; j += columns) {
        int width = static_cast<int>(std::min<int64_t>(columns, j0 + n - j));
        const T* b = step.b + j / columns * step.b_panel;
        int64_t b_stride = p.pack_b ? panel_width<T>(n_packed, j) : p.b_k;
        for (int64_t i = i0; i < i0 + m; i += rows) {
            int height = static_cast<int>(std::min<int64_t>(rows, i0 + m - i));
            const T *row[rows], *first = step.a.row(i);
            int64_t to[rows];
            for (int r = 0; r < rows; r++) {
                int64_t at = std::min(r, height - 1);
                row[r] = first + at * step.a.row_step;
                to[r] = (i + at) * p.c_row;
                __builtin_prefetch(c + to[r] + j * p.c_column, 1);
            }
            int64_t l = 0;
            do {
                const int64_t k = std::min(kChain, step.k - l);
                brgemm(Blocks<T>{1, k, row, 0, &none, step.a.k_step, b + l * b_stride, &none, b_stride}, height, width, !p.pack_b,
                       l > 0, tile);
                for (int r = 0; r < rows; r++) row[r] += k * step.a.k_step;
                l += k;
            } while (l < step.k);
            Epilogue<T> end = epilogue;
            if (end.bias) end.bias += i * end.row_stride + j * end.column_stride;
            TileTarget<T> target{c + j * p.c_column, to, p.c_column, height, width};
            store_tile(tile, target, step.add, step.last ? &end : nullptr);
        }
    }
}

// The operands of one product of the batch.
template <class T>
struct Operands {
    const T *a, *b;
    T* c;
    Epilogue<T> epilogue;

    // From row i and column j of the output on.
    Operands at(const Plan& p, int64_t i, int64_t j) const {
        Operands o = *this;
        o.a += i * p.a_row, o.b += j * p.b_column, o.c += i * p.c_row + j * p.c_column;
        if (o.epilogue.bias) o.epilogue.bias += i * p.bias_row + j * p.bias_column;
        return o;
    }
};

template <class T>
Operands<T> operands(const Plan& p, const Call& call, int64_t index) {
    const T* bias = call.has(3) ? call.view(3).template ptr<T>() : nullptr;
    Operands<T> o{call.view(p.a_view).template ptr<T>(),
                  call.view(p.b_view).template ptr<T>(),
                  call.view(0).template ptr<T>(),
                  {bias, p.bias_row, p.bias_column, static_cast<Activation>(call.integer(0))}};
    for (int d = 0; d < p.batch_dims; d++) {
        int64_t at = index % p.batch_shape[d];
        index /= p.batch_shape[d];
        o.a += at * p.batch_a[d], o.b += at * p.batch_b[d], o.c += at * p.batch_c[d];
    }
    return o;
}

template <class T>
Step<T> make_step(const Plan& p, const Operands<T>& o, int64_t index) {
    int64_t l0 = index * p.k_block, k = std::min(p.k_block, p.k - l0);
    return {RowsOfA<T>{o.a + l0 * p.a_k, Tile<T>::rows * p.a_row, p.a_row, p.a_k},
            o.b + l0 * p.b_k,
            Tile<T>::columns,
            k,
            index > 0,
            index == p.k_blocks - 1};
}

// Calls body(slot, job) for each job of [0, jobs), one at a time as threads come free, which no bit depends on; calls at one time
// have different slots of [0, slots).
template <class Body>
void hand_out(int64_t slots, int64_t jobs, Body&& body) {
    std::atomic<int64_t> next{0};
    parallel_for(std::min(slots, jobs), 1, [&](int64_t begin, int64_t end) {
        for (int64_t slot = begin; slot < end; slot++)
            for (int64_t job; (job = next.fetch_add(1, std::memory_order_relaxed)) < jobs;) body(slot, job);
    });
}

// One step of a large product: a block of k of a chunk of the output.
template <class T>
struct Chunk {
    int64_t m, n, m_blocks, n_blocks, a_tasks, b_tasks;
    Operands<T> o;
    Step<T> from, packed;
};

// Large products. Operands are packed once for all jobs, for a block of k and a chunk of the output at a time, one step ahead of
// the products: packing, which waits for memory, is handed out among the products of the step before, and while one thread packs
// the others multiply.
template <class T>
void run_shared(const Plan& p, const Call& call) {
    constexpr int64_t rows = Tile<T>::rows, columns = Tile<T>::columns, a_group = 8 * rows, b_group = 4 * columns;
    const int64_t m_chunks = ceil_div(p.m, p.m_chunk), n_chunks = ceil_div(p.n, p.n_chunk);
    const int64_t steps = p.batch * m_chunks * n_chunks * p.k_blocks;
    Chunk<T> chunks[2];
    auto prepare = [&](int64_t s) {
        Chunk<T>& c = chunks[s % 2];
        T* to = static_cast<T*>(call.workspace) + s % 2 * p.slot_elements;
        const int64_t place = s / p.k_blocks, i0 = place / n_chunks % m_chunks * p.m_chunk, j0 = place % n_chunks * p.n_chunk;
        c.m = std::min(p.m_chunk, p.m - i0), c.n = std::min(p.n_chunk, p.n - j0);
        c.m_blocks = ceil_div(c.m, p.m_block), c.n_blocks = ceil_div(c.n, p.n_block);
        c.a_tasks = p.pack_a ? ceil_div(c.m, a_group) : 0, c.b_tasks = ceil_div(c.n, b_group);
        c.o = operands<T>(p, call, place / n_chunks / m_chunks).at(p, i0, j0);
        c.from = c.packed = make_step(p, c.o, s % p.k_blocks);
        if (p.pack_a) c.packed.a = RowsOfA<T>::packed(to, c.from.k, p.a_k);
        c.packed.b = to + p.a_elements, c.packed.b_panel = panel_step<T>(c.from.k);
    };
    auto pack_task = [&](const Chunk<T>& c, int64_t task) {
        if (task >= c.b_tasks) {
            const int64_t i0 = (task - c.b_tasks) * a_group;
            return c.packed.a.fill(c.from.a, i0, std::min(c.m, i0 + a_group), c.from.k);
        }
        const int64_t j0 = task * b_group;
        pack(const_cast<T*>(c.packed.b) + j0 / columns * c.packed.b_panel, c.from.b + j0 * p.b_column, c.from.k,
             std::min(b_group, c.n - j0), p.b_k, p.b_column);
    };
    auto multiply_job = [&](const Chunk<T>& c, int64_t job) {
        const int64_t i0 = job % c.m_blocks * p.m_block, j0 = job / c.m_blocks * p.n_block;
        multiply(p, c.packed, i0, std::min(p.m_block, c.m - i0), j0, std::min(p.n_block, c.n - j0), c.n, c.o.c, c.o.epilogue);
    };
    prepare(0);
    hand_out(num_threads(), chunks[0].a_tasks + chunks[0].b_tasks, [&](int64_t, int64_t task) { pack_task(chunks[0], task); });
    for (int64_t s = 0; s < steps; s++) {
        const Chunk<T>&now = chunks[s % 2], &next = chunks[(s + 1) % 2];
        if (s + 1 < steps) prepare(s + 1);
        const int64_t ahead = s + 1 < steps ? next.a_tasks + next.b_tasks : 0, jobs = now.m_blocks * now.n_blocks + ahead;
        // Packing task i comes before job i * jobs / ahead of the two together.
        hand_out(num_threads(), jobs, [&](int64_t, int64_t job) {
            const int64_t before = job * ahead / jobs, after = (job + 1) * ahead / jobs;
            if (after > before) pack_task(next, before);
            else multiply_job(now, job - before);
        });
    }
}

// A B beyond the caches that meets few rows: time is what reading it from memory takes, and memory is quick where addresses follow
// one another. Rows of B are read from one end of the strip to the other, kStreamRows side by side, and the sums of the whole strip
// wait in `sums` for the next: for each tile those of the block, and of the chain that is being added to.
template <class T>
void stream(const Plan& p, const Step<T>& step, int64_t n, T* c, const Epilogue<T>& epilogue, T* sums) {
    static_assert(kChain % kStreamRows == 0);
    constexpr int64_t rows = Tile<T>::rows, columns = Tile<T>::columns, size = sizeof(T);
    const int64_t none = 0, panels = ceil_div(n, columns), tiles = ceil_div(p.m, rows);
    auto for_tiles = [&](auto&& body) {
        for (int64_t panel = 0; panel < panels; panel++)
            for (int64_t at = 0; at < tiles; at++) {
                const int height = static_cast<int>(std::min(rows, p.m - at * rows));
                body(at * rows, height, panel * columns, static_cast<int>(std::min(columns, n - panel * columns)),
                     sums + (panel * tiles + at) * 2 * Tile<T>::size);
            }
    };
    for (int64_t l = 0; l < step.k; l += kStreamRows) {
        const int64_t k = std::min(kStreamRows, step.k - l);
        const T* const b = step.b + l * p.b_k;
        const bool begins = l % kChain == 0, ends = l >= kChain && ((l + k) % kChain == 0 || l + k == step.k);
        for_tiles([&](int64_t i, int height, int64_t j, int width, T* total) {
            const T* row[rows];
            for (int r = 0; r < rows; r++) row[r] = step.a.row(i + std::min(r, height - 1)) + l * step.a.k_step;
            if (i == 0)
                for (int64_t r = 0; r < k; r++)
                    for (int64_t at = 0; at < columns; at += 64 / size)
                        __builtin_prefetch(b + r * p.b_k + j + kAhead * columns + at, 0, 2);
            const Blocks<T> blocks{1, k, row, 0, &none, step.a.k_step, b + j, &none, p.b_k};
            T* const chain = l < kChain ? total : total + Tile<T>::size;
            if (begins) brgemm(blocks, height, width, true, false, chain);
            else brgemm_on(blocks, height, width, true, chain);
            for (int64_t at = 0; ends && at < height * columns; at += Tile<T>::lanes)
                (Vec<T>::load(total + at) + Vec<T>::load(chain + at)).store(total + at);
        });
    }
    for_tiles([&](int64_t i, int height, int64_t j, int width, const T* tile) {
        int64_t to[rows];
        for (int r = 0; r < height; r++) to[r] = (i + r) * p.c_row;
        Epilogue<T> end = epilogue;
        if (end.bias) end.bias += i * end.row_stride + j * end.column_stride;
        store_tile(tile, TileTarget<T>{c + j * p.c_column, to, p.c_column, height, width}, step.add, step.last ? &end : nullptr);
    });
}

// Small or thin products, and batches of them: each job packs what it needs, and the matrices stay apart.
template <class T>
void run_job(const Plan& p, const Call& call, int64_t job, T* scratch) {
    int64_t i0 = job % p.m_blocks * p.m_block, j0 = job / p.m_blocks % p.n_blocks * p.n_block;
    int64_t m = std::min(p.m_block, p.m - i0), n = std::min(p.n_block, p.n - j0);
    const Operands<T> o = operands<T>(p, call, job / p.m_blocks / p.n_blocks).at(p, i0, j0);
    for (int64_t index = 0; index < p.k_blocks; index++) {
        Step<T> step = make_step(p, o, index);
        if (p.streamed) {
            stream(p, step, n, o.c, o.epilogue, scratch);
            continue;
        }
        if (p.pack_a) {
            auto packed = RowsOfA<T>::packed(scratch, step.k, p.a_k);
            packed.fill(step.a, 0, m, step.k);
            step.a = packed;
        }
        if (p.pack_b) {
            T* packed = scratch + p.a_elements;
            pack(packed, step.b, step.k, n, p.b_k, p.b_column);
            step.b = packed, step.b_panel = panel_step<T>(step.k);
        }
        multiply(p, step, 0, m, 0, n, n, o.c, o.epilogue);
    }
}

template <class T>
void forward(const Call& call) {
    Plan p = make_plan<T>(call, num_threads());
    if (p.jobs == 0) return;
    if (p.shared) return run_shared<T>(p, call);
    int64_t slot_bytes = p.slot_elements * static_cast<int64_t>(sizeof(T));
    if (slot_bytes) p.slots = std::min(p.slots, static_cast<int64_t>(call.workspace_bytes) / slot_bytes);
    hand_out(p.slots, p.jobs, [&](int64_t slot, int64_t job) {
        run_job<T>(p, call, job, static_cast<T*>(call.workspace) + slot * p.slot_elements);
    });
}

template <class T>
size_t workspace_bytes(const Call& call) {
    Plan p = make_plan<T>(call, num_threads());
    const int64_t slots =
        p.shared ? std::min<int64_t>(2, p.batch * p.k_blocks * ceil_div(p.m, p.m_chunk) * ceil_div(p.n, p.n_chunk)) : p.slots;
    return p.jobs == 0 ? 0 : static_cast<size_t>(p.slot_elements * slots) * sizeof(T);
}

constexpr Kernel kernels[] = {{&kMatmulForward, "brgemm", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>, 10,
                               nullptr, bytes_by_float<workspace_bytes<float>, workspace_bytes<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
