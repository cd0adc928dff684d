// Dropout, and fills with uniforms, normals and integers.
//
// The elements are cut, in C order, into tiles of 256. A tile's Philox words go to a buffer in the L1 cache, become numbers there by
// plain loops that the compiler turns into vectors (none of them sums), and are then written out row by row through any strides.
// Tiles depend on nothing but their number, so threads take them in any order.
//
// Dropout is bound by memory (one read, one write) where the ten rounds are hidden, about 1.5 cycles an element with AVX2.
#include "engine/parallel.h"
#include "kernels/common/philox.h"
#include "kernels/common/row.h"
#include "kernels/common/vector_math.h"
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
    using Bits = typename Vec<T>::Int;
    Bits scale_bits;
    std::memcpy(&scale_bits, &scale, sizeof scale);
    auto fill = [&](T* factors, int64_t start, int n) {
        uint32_t words[kTile];
        philox_words(seed, offset + static_cast<uint64_t>(start / 4), words, n);
        Bits bits[kTile];
        const uint32_t limit = last;  // copies, which no store can change under the vectoriser
        const Bits kept_bits = scale_bits;
        for (int i = 0; i < n; i++) bits[i] = kept_bits & -static_cast<Bits>(words[i] <= limit);
        std::memcpy(factors, bits, sizeof bits);
    };
    for_tiles<T>(y.size(), out.length, fill, [&](int64_t e, int64_t count, const T* factors) {
        Row<T> to = {out.view.ptr<T>() + out.offset(e), out.stride()};
        Row<const T> from = {in.view.ptr<T>() + in.offset(e), in.stride()};
        for_row<T>(count, [&](int64_t i, int lanes) { to.store(i, lanes, from.load(i, lanes) * load_lanes(factors + i, lanes)); });
    });
}

// n uniforms in [0, 1), from element `start` on.
inline void uniforms(uint64_t seed, uint64_t offset, int64_t start, float* u, int n) {
    uint32_t words[kTile];
    philox_words(seed, offset + static_cast<uint64_t>(start / 4), words, n);
    for (int i = 0; i < n; i++) u[i] = static_cast<float>(static_cast<int32_t>(words[i] >> 8)) * 0x1p-24f;
}
inline void uniforms(uint64_t seed, uint64_t offset, int64_t start, double* u, int n) {
    uint32_t words[2 * kTile];
    philox_words(seed, offset + static_cast<uint64_t>(start / 2), words, 2 * n);
    for (int i = 0; i < n; i++) {
        auto low = static_cast<int32_t>(words[2 * i] >> 5), high = static_cast<int32_t>(words[2 * i + 1] >> 6);
        u[i] = (static_cast<double>(high) * 0x1p27 + static_cast<double>(low)) * 0x1p-53;
    }
}

// y = add + scale * value, element by element, for values that `fill` makes.
template <class T, class Fill>
void fill_view(const View& y, T add, T scale, Fill&& fill) {
    Rows out(y, y.is_contiguous());
    for_tiles<T>(y.size(), out.length, fill, [&](int64_t e, int64_t count, const T* values) {
        Row<T> to = {out.view.ptr<T>() + out.offset(e), out.stride()};
        for_row<T>(count, [&](int64_t i, int lanes) {
            to.store(i, lanes, Vec<T>(add) + Vec<T>(scale) * load_lanes(values + i, lanes));
        });
    });
}

template <class T>
void uniform(const Call& call) {
    fill_view<T>(call.view(0), static_cast<T>(call.real(0)), static_cast<T>(call.real(1) - call.real(0)),
                 [&](T* u, int64_t start, int n) { uniforms(call.u64(2), call.u64(3), start, u, n); });
}

template <class T>
void normal(const Call& call) {
    fill_view<T>(call.view(0), static_cast<T>(call.real(0)), static_cast<T>(call.real(1)), [&](T* z, int64_t start, int n) {
        constexpr int width = Vec<T>::width;
        T u[kTile] = {}, radius[kTile / 2], angle[kTile / 2];
        uniforms(call.u64(2), call.u64(3), start, u, n);
        for (int i = 0; i < kTile / 2; i++) radius[i] = T(1) - u[2 * i], angle[i] = T(6.283185307179586476925) * u[2 * i + 1];
        for (int i = 0; i < n / 2; i += width) {
            Vec<T> r = sqrt(Vec<T>(T(-2)) * log(Vec<T>::load(radius + i))), a = Vec<T>::load(angle + i);
            (r * cos(a)).store(radius + i);
            (r * sin(a)).store(angle + i);
        }
        for (int i = 0; i < n / 2; i++) z[2 * i] = radius[i], z[2 * i + 1] = angle[i];
    });
}

void randint(const Call& call) {
    Rows out(call.view(0), call.view(0).is_contiguous());
    auto low = static_cast<uint64_t>(call.integer(0)), range = static_cast<uint64_t>(call.integer(1)) - low;
    auto fill = [&](int64_t* values, int64_t start, int n) {
        uint32_t words[2 * kTile];
        philox_words(call.u64(2), call.u64(3) + static_cast<uint64_t>(start / 2), words, 2 * n);
        for (int i = 0; i < n; i++) {
            uint64_t w = words[2 * i] | uint64_t{words[2 * i + 1]} << 32;
            values[i] = static_cast<int64_t>(low + static_cast<uint64_t>(static_cast<unsigned __int128>(w) * range >> 64));
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
