// map_strided: see the header. Bound by bytes for cheap ops: outputs too large for any cache are written with streaming stores,
// which spare the read of each line before it is overwritten, and transposed inputs are read in tiles.
#include "kernels/common/strided_loop.h"

#include <algorithm>
#include <cstdlib>

#include "engine/parallel.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kShortRow = 16;                    // shorter rows are gathered several at a time
constexpr int64_t kStreamBytes = int64_t(16) << 20;  // an output of this size does not stay in a cache
constexpr int kStreamAlign = kVectorBytes;

// Dimension 0 is the innermost. Operand 0 is the output. Strides in elements.
struct Plan {
    int ndim = 0, operands;
    int64_t shape[kMaxDims], strides[1 + kMaxInputs][kMaxDims];
    void* data[1 + kMaxInputs];
    DType dtype[1 + kMaxInputs];

    void move(int k, int64_t elements, int64_t item) { data[k] = static_cast<char*>(data[k]) + elements * item; }
};

// The same elements of all operands are met in the same order whatever the order of the dimensions, so they may be sorted,
// walked backwards and merged at will.
Plan make_plan(const Call& call, int inputs) {
    const View& y = call.view(0);
    Plan plan;
    plan.operands = inputs + 1;
    int order[kMaxDims], n = 0;
    for (int d = y.ndim - 1; d >= 0; d--) {
        if (y.shape[d] == 1) continue;
        int at = n++;
        for (; at > 0 && std::llabs(y.strides[order[at - 1]]) > std::llabs(y.strides[d]); at--) order[at] = order[at - 1];
        order[at] = d;
    }
    for (int k = 0; k <= inputs; k++) plan.data[k] = call.view(k).data, plan.dtype[k] = call.view(k).dtype;
    for (int i = 0; i < n; i++) {
        int d = order[i], to = plan.ndim;
        plan.shape[to] = y.shape[d];
        for (int k = 0; k <= inputs; k++) {
            const View& v = call.view(k);
            int own = d - (y.ndim - v.ndim);
            int64_t stride = own < 0 || v.shape[own] == 1 ? 0 : v.strides[own];
            if (y.strides[d] < 0) {
                plan.move(k, stride * (y.shape[d] - 1), item_size(v.dtype));
                stride = -stride;
            }
            plan.strides[k][to] = stride;
        }
        bool merges = to > 0;
        for (int k = 0; merges && k <= inputs; k++) merges = plan.strides[k][to] == plan.strides[k][to - 1] * plan.shape[to - 1];
        if (merges) plan.shape[to - 1] *= plan.shape[to];
        else plan.ndim++;
    }
    if (plan.ndim == 0) {
        plan.ndim = 1;
        plan.shape[0] = 1;
        for (int k = 0; k <= inputs; k++) plan.strides[k][0] = 1;
    }
    return plan;
}

// A place in the iteration space.
struct Position {
    const Plan& plan;
    int64_t at[kMaxDims];

    Position(const Plan& p, int64_t flat) : plan(p) {
        for (int d = 0; d < plan.ndim; d++) {
            at[d] = flat % plan.shape[d];
            flat /= plan.shape[d];
        }
    }
    int64_t left_in_row() const { return plan.shape[0] - at[0]; }
    int64_t offset(int k) const {
        int64_t sum = 0;
        for (int d = 0; d < plan.ndim; d++) sum += at[d] * plan.strides[k][d];
        return sum;
    }
    void advance(int64_t n) {
        at[0] += n;
        for (int d = 0; d + 1 < plan.ndim && at[d] >= plan.shape[d]; d++) {
            int64_t carry = at[d] == plan.shape[d] ? 1 : at[d] / plan.shape[d];  // spares most rows a division
            at[d] -= carry * plan.shape[d];
            at[d + 1] += carry;
        }
    }
};

// Calls piece(offset, first, count) for each part of a row among the next n elements of operand k.
template <class Piece>
void for_rows(Position position, int k, int64_t n, Piece piece) {
    for (int64_t done = 0; done < n;) {
        int64_t count = std::min(n - done, position.left_in_row());
        piece(position.offset(k), done, count);
        position.advance(count);
        done += count;
    }
}

template <class S, class T>
void gather_from(const Position& position, int k, int64_t n, T* block) {
    const S* data = static_cast<const S*>(position.plan.data[k]);
    int64_t stride = position.plan.strides[k][0];
    for_rows(position, k, n, [&](int64_t offset, int64_t first, int64_t count) {
        const S* from = data + offset;
        if (stride == 0) std::fill_n(block + first, count, static_cast<T>(*from));
        else if (stride == 1) std::copy_n(from, count, block + first);
        else
            for (int64_t i = 0; i < count; i++) block[first + i] = static_cast<T>(from[i * stride]);
    });
}

template <class T>
void gather(const Position& position, int k, int64_t n, T* block) {
    switch (position.plan.dtype[k]) {
        case DType::float32: return gather_from<float>(position, k, n, block);
        case DType::float64: return gather_from<double>(position, k, n, block);
        case DType::int32: return gather_from<int32_t>(position, k, n, block);
        case DType::int64: return gather_from<int64_t>(position, k, n, block);
        case DType::boolean: return gather_from<uint8_t>(position, k, n, block);
        default:
            fail<DTypeError>("map_strided: expected bool, int32, int64, float32 or float64, got %s",
                             dtype_name(position.plan.dtype[k]));
    }
}

template <class T>
void scatter(const Position& position, int64_t n, const T* block) {
    T* data = static_cast<T*>(position.plan.data[0]);
    int64_t stride = position.plan.strides[0][0];
    for_rows(position, 0, n, [&](int64_t offset, int64_t first, int64_t count) {
        for (int64_t i = 0; i < count; i++) data[offset + i * stride] = block[first + i];
    });
}

// `to` is aligned to kStreamAlign; a last part of a vector is stored in the ordinary way.
void stream(void* to, const void* from, int64_t bytes) {
    auto* out = static_cast<char*>(to);
    auto* in = static_cast<const char*>(from);
    int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 64 <= bytes; i += 64) _mm512_stream_si512(reinterpret_cast<__m512i*>(out + i), _mm512_load_si512(in + i));
#elif defined(__AVX2__)
    for (; i + 32 <= bytes; i += 32)
        _mm256_stream_si256(reinterpret_cast<__m256i*>(out + i), _mm256_load_si256(reinterpret_cast<const __m256i*>(in + i)));
#elif defined(__x86_64__)
    for (; i + 16 <= bytes; i += 16)
        _mm_stream_si128(reinterpret_cast<__m128i*>(out + i), _mm_load_si128(reinterpret_cast<const __m128i*>(in + i)));
#endif
    std::memcpy(out + i, in + i, static_cast<size_t>(bytes - i));
}

void end_of_streams() {
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

template <class T>
struct Blocks {
    static constexpr int64_t elements = kBlockBytes / static_cast<int64_t>(sizeof(T));
    alignas(64) T block[1 + kMaxInputs][elements];
    int64_t scalar_offset[1 + kMaxInputs], scalar_count[1 + kMaxInputs] = {};  // which scalar a block is full of
};

template <class T>
void run_range(const Plan& plan, UnitLoop<T> loop, const void* f, int64_t begin, int64_t end, bool streams) {
    using B = Blocks<T>;
    B blocks;
    Position position(plan, begin);
    bool rows = plan.ndim == 1 || plan.shape[0] >= kShortRow, direct[1 + kMaxInputs], all_direct = true;
    for (int k = 0; k < plan.operands; k++) {
        direct[k] = rows && plan.strides[k][0] == 1 && plan.dtype[k] == dtype_of<T>::value;
        all_direct &= direct[k];
    }
    while (begin < end) {
        int64_t n = rows ? std::min(end - begin, position.left_in_row()) : end - begin;
        T* y = direct[0] ? static_cast<T*>(plan.data[0]) + position.offset(0) : blocks.block[0];
        T* aligned = nullptr;
        if (streams && direct[0]) {
            auto past = reinterpret_cast<uintptr_t>(y) % kStreamAlign;
            if (past) n = std::min(n, static_cast<int64_t>((kStreamAlign - past) / sizeof(T)));
            else aligned = y, y = blocks.block[0];
        }
        if (!all_direct || aligned) n = std::min(n, B::elements);
        const T* x[kMaxInputs];
        for (int k = 1; k < plan.operands; k++) {
            int64_t offset = position.offset(k);
            if (direct[k]) {
                x[k - 1] = static_cast<const T*>(plan.data[k]) + offset;
                continue;
            }
            x[k - 1] = blocks.block[k];
            bool scalar = rows && plan.strides[k][0] == 0;
            if (scalar && blocks.scalar_count[k] >= n && blocks.scalar_offset[k] == offset) continue;
            gather(position, k, n, blocks.block[k]);
            if (scalar) blocks.scalar_offset[k] = offset, blocks.scalar_count[k] = n;
        }
        loop(f, y, x, n);
        if (aligned) stream(aligned, y, n * static_cast<int64_t>(sizeof(T)));
        else if (!direct[0]) scatter(position, n, y);
        position.advance(n);
        begin += n;
    }
    if (streams) end_of_streams();
}

// ---- transposed operands ---------------------------------------------------------------------------------------------------
//
// Where the output runs along dimension 0 and an input along another one, rows would read one element of each cache line, and
// come back for the next when the line is gone. Tiles of kTileColumns x two lines are turned in the L1 cache instead.

constexpr int64_t kTileColumns = 128;  // along dimension 0
template <class T>
constexpr int64_t kTileRows = 128 / static_cast<int64_t>(sizeof(T));

template <class T>
bool is_turned(const Plan& plan, int k, int d) {
    int64_t stride = plan.strides[k][0];
    return plan.dtype[k] == dtype_of<T>::value && std::llabs(stride) >= kTileRows<T> && plan.strides[k][d] == 1;
}

// Makes the dimension along which an input runs dimension 1. False where rows serve.
template <class T>
bool prepare_tiles(Plan& plan) {
    if (plan.strides[0][0] != 1 || plan.shape[0] < kShortRow) return false;
    for (int d = 1; d < plan.ndim; d++)
        for (int k = 1; k < plan.operands; k++) {
            if (plan.shape[d] < 4 || !is_turned<T>(plan, k, d)) continue;
            std::swap(plan.shape[1], plan.shape[d]);
            for (int each = 0; each < plan.operands; each++) std::swap(plan.strides[each][1], plan.strides[each][d]);
            return true;
        }
    return false;
}

template <class T>
int64_t count_tiles(const Plan& plan) {
    int64_t n = ((plan.shape[0] + kTileColumns - 1) / kTileColumns) * ((plan.shape[1] + kTileRows<T> - 1) / kTileRows<T>);
    for (int d = 2; d < plan.ndim; d++) n *= plan.shape[d];
    return n;
}

template <class T>
void run_tile(const Plan& plan, UnitLoop<T> loop, const void* f, int64_t index) {
    constexpr int64_t rows_at_most = kTileRows<T>;
    alignas(64) T turned[kMaxInputs][rows_at_most][kTileColumns];
    Position position(plan, 0);
    int64_t tiles_across = (plan.shape[0] + kTileColumns - 1) / kTileColumns,
            tiles_down = (plan.shape[1] + rows_at_most - 1) / rows_at_most;
    position.at[1] = index % tiles_down * rows_at_most;
    index /= tiles_down;
    position.at[0] = index % tiles_across * kTileColumns;
    index /= tiles_across;
    for (int d = 2; d < plan.ndim; d++) {
        position.at[d] = index % plan.shape[d];
        index /= plan.shape[d];
    }
    int64_t columns = std::min(kTileColumns, position.left_in_row()), rows = std::min(rows_at_most, plan.shape[1] - position.at[1]);
    for (int k = 1; k < plan.operands; k++) {
        if (!is_turned<T>(plan, k, 1)) continue;
        const T* from = static_cast<const T*>(plan.data[k]) + position.offset(k);
        for (int64_t i = 0; i < columns; i++, from += plan.strides[k][0])
            for (int64_t j = 0; j < rows; j++) turned[k - 1][j][i] = from[j];
    }
    for (int64_t j = 0; j < rows; j++, position.at[1]++) {
        const T* x[kMaxInputs];
        for (int k = 1; k < plan.operands; k++) {
            x[k - 1] = turned[k - 1][j];
            if (is_turned<T>(plan, k, 1)) continue;
            if (plan.strides[k][0] == 1 && plan.dtype[k] == dtype_of<T>::value)
                x[k - 1] = static_cast<const T*>(plan.data[k]) + position.offset(k);
            else gather(position, k, columns, turned[k - 1][j]);
        }
        loop(f, static_cast<T*>(plan.data[0]) + position.offset(0), x, columns);
    }
}

}  // namespace

template <class T>
void map_strided(const Call& call, int inputs, UnitLoop<T> loop, const void* f, int64_t grain) {
    const View& y = call.view(0);
    int64_t total = y.size();
    if (total == 0) return;
    Plan plan = make_plan(call, inputs);
    if (prepare_tiles<T>(plan))
        return parallel_for(count_tiles<T>(plan), std::max<int64_t>(1, grain / (kTileColumns * kTileRows<T>)),
                            [&](int64_t begin, int64_t end) {
                                for (int64_t tile = begin; tile < end; tile++) run_tile(plan, loop, f, tile);
                            });
    bool streams = total * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
    for (int k = 1; k <= inputs; k++) streams &= call.view(k).data != y.data;  // in place, the line has just been read
    parallel_for(total, grain, [&](int64_t begin, int64_t end) { run_range(plan, loop, f, begin, end, streams); });
}

template void map_strided(const Call&, int, UnitLoop<float>, const void*, int64_t);
template void map_strided(const Call&, int, UnitLoop<double>, const void*, int64_t);

}  // namespace ww::WW_ISA
