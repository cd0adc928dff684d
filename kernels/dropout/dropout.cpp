// Dropout, and fills with uniforms, normals and integers.
//
// The elements are cut, in C order, into tiles of 256. A tile's Philox words go to a buffer in the L1 cache, become numbers there
// by plain loops that the compiler turns into vectors (none of them sums), and are then written out row by row through any strides.
// Tiles depend on nothing but their number, so threads take them in any order.
//
// Dropout is bound by memory (one read, one write) where the ten rounds are hidden, about 1.5 cycles an element with AVX2.
#include "engine/parallel.h"
#include "engine/random.h"
#include "kernels/common/philox.h"
#include "kernels/common/row.h"
#include "kernels/dropout/box_muller.h"
#include "kernels/dropout/dropout.h"

namespace ww::WW_ISA {
namespace {

constexpr int kTile = 256;

// fill(values, first element, elements rounded up to whole blocks) makes a tile; use(start, count, values) gets it cut at row ends.
template <class T, class Fill, class Use>
void for_tiles(int64_t size, int64_t row_length, Fill&& fill, Use&& use) {
    parallel_for((size + kTile - 1) / kTile, 16, [&](int64_t begin, int64_t end) {
        T values[kTile];
        for (int64_t tile = begin; tile < end; tile++) {
            int64_t start = tile * kTile, stop = std::min(size, start + kTile);
            fill(values, start, static_cast<int>((stop - start + 3) / 4 * 4));
            for (int64_t e = start; e < stop;) {
                int64_t count = std::min(stop - e, row_length - e % row_length);
                use(e, count, values + (e - start));
                e += count;
            }
        }
    });
}

template <class T>
void dropout(const Call& call) {
    const View &y = call.view(0), &x = call.view(1);
    bool dense = y.is_contiguous() && x.is_contiguous();
    Rows out(y, dense), in(x, dense);
    double p = call.real(0);
    uint64_t seed = call.u64(1), offset = call.u64(2);
    auto kept = static_cast<uint64_t>(std::nearbyint((1 - p) * 4294967296.0));  // words below it are kept
    T scale = kept ? static_cast<T>(1 / (1 - p)) : T(0);
    auto last = static_cast<uint32_t>(kept ? kept - 1 : 0);
    using Integer = typename Vec<T>::Int;
    Integer scale_bits;
    std::memcpy(&scale_bits, &scale, sizeof scale);
    auto fill = [&](T* factors, int64_t start, int n) {
        uint32_t words[kTile];
        philox_words(seed, offset, static_cast<uint64_t>(start / 4), words, n);
        Integer bits[kTile];
        const uint32_t limit = last;  // copies, which no store can change under the vectoriser
        const Integer kept_bits = scale_bits;
        for (int i = 0; i < n; i++) bits[i] = kept_bits & -static_cast<Integer>(words[i] <= limit);
        std::memcpy(factors, bits, sizeof bits);
    };
    for_tiles<T>(y.size(), out.length, fill, [&](int64_t e, int64_t count, const T* factors) {
        Row<T> to = {out.view.ptr<T>() + out.offset(e), out.stride()};
        Row<const T> from = {in.view.ptr<T>() + in.offset(e), in.stride()};
        for_row<T>(count, [&](int64_t i, int lanes) { to.store(i, lanes, from.load(i, lanes) * load_lanes(factors + i, lanes)); });
    });
}

// n uniforms in [0, 1), from element `start` on: random_float and random_double.
inline void uniforms(uint64_t seed, uint64_t offset, int64_t start, float* u, int n) {
    uint32_t words[kTile];
    philox_words(seed, offset, static_cast<uint64_t>(start / 4), words, n);
    for (int i = 0; i < n; i++) u[i] = static_cast<float>(static_cast<int32_t>(words[i] >> 8)) * 0x1p-24f;
}
// 53 bits: all 32 of the high word, as a signed number that vectors convert, and 21 of the low one.
inline void uniforms(uint64_t seed, uint64_t offset, int64_t start, double* u, int n) {
    uint32_t words[2 * kTile];
    philox_words(seed, offset, static_cast<uint64_t>(start / 2), words, 2 * n);
    for (int i = 0; i < n; i++) {
        auto high = static_cast<int32_t>(words[2 * i + 1] ^ 0x80000000u), low = static_cast<int32_t>(words[2 * i] >> 11);
        u[i] = ((static_cast<double>(high) + 0x1p31) * 0x1p21 + static_cast<double>(low)) * 0x1p-53;
    }
}

// n normals from element `start` on: random_normal_float and random_normal_double.
inline void normals(uint64_t seed, uint64_t offset, int64_t start, float* z, int n) {
    uint32_t words[kTile] = {};
    philox_words(seed, offset, static_cast<uint64_t>(start / 4), words, n);
    for (int i = 0; i < n; i += 2 * Doubles::width) {
        int64_t radius[Doubles::width], angle[Doubles::width];
        for (int j = 0; j < Doubles::width; j++) radius[j] = words[i + 2 * j], angle[j] = words[i + 2 * j + 1];
        Bits r, a;
        std::memcpy(&r, radius, sizeof r), std::memcpy(&a, angle, sizeof a);
        Doubles first, second;
        normal_pair((small_integer(r) + constant(0.5)) * constant(0x1p-32), small_integer(a) * constant(0x1p-32), first, second);
        for (int j = 0; j < Doubles::width; j++)
            z[i + 2 * j] = static_cast<float>(first[j]), z[i + 2 * j + 1] = static_cast<float>(second[j]);
    }
}
inline void normals(uint64_t seed, uint64_t offset, int64_t start, double* z, int n) {
    uint32_t words[2 * kTile] = {};
    philox_words(seed, offset, static_cast<uint64_t>(start / 2), words, 2 * n);
    for (int i = 0; i < n; i += 2 * Doubles::width) {
        int64_t cell[Doubles::width];
        double angle[Doubles::width];
        for (int j = 0; j < Doubles::width; j++) {
            const uint32_t* block = words + 2 * i + 4 * j;
            cell[j] = static_cast<int64_t>(join_words(block[0], block[1]) >> 12);
            angle[j] = uniform_double(block[2], block[3]);
        }
        Bits c;
        std::memcpy(&c, cell, sizeof c);
        Doubles first, second;
        normal_pair((small_integer(c) + constant(0.5)) * constant(0x1p-52), Doubles::load(angle), first, second);
        for (int j = 0; j < Doubles::width; j++) z[i + 2 * j] = first[j], z[i + 2 * j + 1] = second[j];
    }
}

// y = add + scale * value, element by element, for values that `fill` makes.
template <class T, class Fill>
void fill_view(const View& y, T add, T scale, Fill&& fill) {
    Rows out(y, y.is_contiguous());
    for_tiles<T>(y.size(), out.length, fill, [&](int64_t e, int64_t count, const T* values) {
        Row<T> to = {out.view.ptr<T>() + out.offset(e), out.stride()};
        for_row<T>(count,
                   [&](int64_t i, int lanes) { to.store(i, lanes, Vec<T>(add) + Vec<T>(scale) * load_lanes(values + i, lanes)); });
    });
}

template <class T>
void uniform(const Call& call) {
    fill_view<T>(call.view(0), static_cast<T>(call.real(0)), static_cast<T>(call.real(1) - call.real(0)),
                 [&](T* u, int64_t start, int n) { uniforms(call.u64(2), call.u64(3), start, u, n); });
}

template <class T>
void normal(const Call& call) {
    fill_view<T>(call.view(0), static_cast<T>(call.real(0)), static_cast<T>(call.real(1)),
                 [&](T* z, int64_t start, int n) { normals(call.u64(2), call.u64(3), start, z, n); });
}

void randint(const Call& call) {
    Rows out(call.view(0), call.view(0).is_contiguous());
    auto low = static_cast<uint64_t>(call.integer(0)), range = static_cast<uint64_t>(call.integer(1)) - low;
    auto fill = [&](int64_t* values, int64_t start, int n) {
        uint32_t words[4 * kTile];
        philox_words(call.u64(2), call.u64(3), static_cast<uint64_t>(start), words, 4 * n);
        for (int i = 0; i < n; i++) {
            const uint32_t* w = words + 4 * i;
            values[i] = static_cast<int64_t>(low + integer_below({{w[0], w[1], w[2], w[3]}}, range));
        }
    };
    for_tiles<int64_t>(call.view(0).size(), out.length, fill, [&](int64_t e, int64_t count, const int64_t* values) {
        int64_t* to = out.view.ptr<int64_t>() + out.offset(e);
        for (int64_t i = 0; i < count; i++) to[i * out.stride()] = values[i];
    });
}

constexpr Kernel kernels[] = {
    {&kDropoutForward, "philox", WW_ISA_NAME, kFloats, by_float<dropout<float>, dropout<double>>},
    {&kUniformForward, "philox", WW_ISA_NAME, kFloats, by_float<uniform<float>, uniform<double>>},
    {&kNormalForward, "philox", WW_ISA_NAME, kFloats, by_float<normal<float>, normal<double>>},
    {&kRandintForward, "philox", WW_ISA_NAME, dtype_bit(DType::int64), randint},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
