// Dropout, and fills with uniforms, normals and integers, on CUDA: the bits of engine/random.h, as on every device.
//
// A thread makes one Philox block of four words and writes the elements that it is for, in C order: four of float32, two of
// float64, one integer. Bound by bytes for uniforms, by float64 arithmetic for normals.
#include <cmath>

#include "engine/cuda/device.cuh"
#include "engine/random.h"
#include "kernels/common/strided_map.cuh"
#include "kernels/dropout/dropout.h"

namespace ww::cuda {
namespace {

struct Stream {
    uint64_t seed, offset;
    WW_DEVICE Philox block(int64_t index) const { return philox_block(seed, offset, static_cast<uint64_t>(index)); }
};

// a + b * c with both roundings: nvcc would contract it.
WW_DEVICE double sum_of_product(double a, double b, double c) { return product_sum(b, c, a); }
WW_DEVICE float sum_of_product(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
    return __fadd_rn(a, __fmul_rn(b, c));
#else
    return a + b * c;
#endif
}

template <class T>
struct Uniform {
    static constexpr int per_block = sizeof(T) == 4 ? 4 : 2;
    T low, range;
    WW_DEVICE void operator()(const Philox& block, T (&y)[per_block]) const {
#pragma unroll
        for (int i = 0; i < per_block; i++) {
            if constexpr (per_block == 4) y[i] = sum_of_product(low, range, uniform_float(block.word[i]));
            else y[i] = sum_of_product(low, range, uniform_double(block.word[2 * i], block.word[2 * i + 1]));
        }
    }
};

template <class T>
struct Normal {
    static constexpr int per_block = sizeof(T) == 4 ? 4 : 2;
    T mean, std;
    WW_DEVICE void operator()(const Philox& block, T (&y)[per_block]) const {
        if constexpr (per_block == 4) {
            normal_floats(block.word[0], block.word[1], &y[0], &y[1]);
            normal_floats(block.word[2], block.word[3], &y[2], &y[3]);
        } else {
            normal_doubles(block, &y[0], &y[1]);
        }
#pragma unroll
        for (int i = 0; i < per_block; i++) y[i] = sum_of_product(mean, std, y[i]);
    }
};

struct Integer {
    static constexpr int per_block = 1;
    uint64_t low, range;
    WW_DEVICE void operator()(const Philox& block, int64_t (&y)[1]) const {
        y[0] = static_cast<int64_t>(low + integer_below(block, range));
    }
};

template <class T, class Make>
__global__ void __launch_bounds__(kMapThreads) fill_random(MapPlan<1> plan, Stream stream, Make make, T* y) {
    constexpr int per_block = Make::per_block;
    const int64_t step = int64_t{gridDim.x} * kMapThreads, blocks = ceil_div(plan.size, per_block);
    for (int64_t b = int64_t{blockIdx.x} * kMapThreads + threadIdx.x; b < blocks; b += step) {
        T values[per_block];
        make(stream.block(b), values);
#pragma unroll
        for (int i = 0; i < per_block; i++) {
            if (b * per_block + i >= plan.size) break;
            int64_t at[1];
            plan.locate(b * per_block + i, at);
            y[at[0]] = values[i];
        }
    }
}

template <class T, class Make>
void fill(const Call& call, const Make& make) {
    const MapPlan<1> plan({&call.view(0)}, true);
    if (plan.size == 0) return;
    launch<fill_random<T, Make>>(map_grid(ceil_div(plan.size, Make::per_block)), plan, Stream{call.u64(2), call.u64(3)}, make,
                                 call.view(0).ptr<T>());
}

template <class T>
void uniform(const Call& call) {
    fill<T>(call, Uniform<T>{static_cast<T>(call.real(0)), static_cast<T>(call.real(1) - call.real(0))});
}
template <class T>
void normal(const Call& call) {
    fill<T>(call, Normal<T>{static_cast<T>(call.real(0)), static_cast<T>(call.real(1))});
}
void randint(const Call& call) {
    const auto low = static_cast<uint64_t>(call.integer(0));
    fill<int64_t>(call, Integer{low, static_cast<uint64_t>(call.integer(1)) - low});
}

// A word below `kept` keeps its element.
template <class T>
__global__ void __launch_bounds__(kMapThreads) drop(MapPlan<2> plan, Stream stream, uint64_t kept, T scale, T* y, const T* x) {
    const int64_t step = int64_t{gridDim.x} * kMapThreads, blocks = ceil_div(plan.size, 4);
    for (int64_t b = int64_t{blockIdx.x} * kMapThreads + threadIdx.x; b < blocks; b += step) {
        const Philox block = stream.block(b);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (b * 4 + i >= plan.size) break;
            int64_t at[2];
            plan.locate(b * 4 + i, at);
            y[at[0]] = x[at[1]] * (block.word[i] < kept ? scale : T(0));
        }
    }
}

template <class T>
void dropout(const Call& call) {
    const View &y = call.view(0), &x = call.view(1);
    const MapPlan<2> plan({&y, &x}, true);
    if (plan.size == 0) return;
    const double p = call.real(0);
    const auto kept = static_cast<uint64_t>(std::nearbyint((1 - p) * 4294967296.0));
    const T scale = kept ? static_cast<T>(1 / (1 - p)) : T(0);
    launch<drop<T>>(map_grid(ceil_div(plan.size, 4)), plan, Stream{call.u64(1), call.u64(2)}, kept, scale, y.ptr<T>(), x.ptr<T>());
}

constexpr Kernel kernels[] = {
    {&kDropoutForward, "philox", WW_DEVICE_NAME, kFloats, by_float<dropout<float>, dropout<double>>},
    {&kUniformForward, "philox", WW_DEVICE_NAME, kFloats, by_float<uniform<float>, uniform<double>>},
    {&kNormalForward, "philox", WW_DEVICE_NAME, kFloats, by_float<normal<float>, normal<double>>},
    {&kRandintForward, "philox", WW_DEVICE_NAME, dtype_bit(DType::int64), randint},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
