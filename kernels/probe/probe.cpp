// Probes of the machine: probe_fma runs acc = acc * one + one in twelve independent chains of vectors, enough to cover the latency
// (4 to 5 cycles, two units) of every core since 2013, in registers alone; probe_copy copies. Bound by what they measure.
#include <cstring>

#include "engine/parallel.h"
#include "engine/simd.h"
#include "kernels/probe/probe.h"

namespace ww::WW_ISA {
namespace {

constexpr int kChains = 12;

template <class T>
void multiply_add(const Call& call) {
    const View& count = call.view(0);
    const Vec<T> one(*call.view(1).ptr<T>());
    const int64_t steps = call.integer(0);
    parallel_for(count.shape[0], 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            Vec<T> acc[kChains];
            for (int c = 0; c < kChains; c++) acc[c] = Vec<T>(static_cast<T>(c));  // unlike, or one chain would serve for all
            for (int64_t step = 0; step < steps; step++) {
#pragma GCC unroll 12
                for (int c = 0; c < kChains; c++) acc[c] = fma(acc[c], one, one);
            }
            double sum = 0;
            for (int c = 0; c < kChains; c++)
                for (int lane = 0; lane < Vec<T>::width; lane++) sum += static_cast<double>(acc[c][lane]) - c;
            count.ptr<double>()[i * count.strides[0]] = sum;
        }
    });
}

template <class T>
void copy(const Call& call) {
    const View &y = call.view(0), &x = call.view(1);
    parallel_for(y.shape[0], 1 << 16, [&](int64_t begin, int64_t end) {
        T* to = y.ptr<T>() + begin * y.strides[0];
        const T* from = x.ptr<T>() + begin * x.strides[0];
        if (y.is_contiguous() && x.is_contiguous()) {
            std::memcpy(to, from, static_cast<size_t>(end - begin) * sizeof(T));
            return;
        }
        for (int64_t i = 0; i < end - begin; i++) to[i * y.strides[0]] = from[i * x.strides[0]];
    });
}

constexpr Kernel kernels[] = {
    {&kProbeFma, "registers", WW_ISA_NAME, kFloats, by_float<multiply_add<float>, multiply_add<double>>},
    {&kProbeCopy, "memcpy", WW_ISA_NAME, kFloats, by_float<copy<float>, copy<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
