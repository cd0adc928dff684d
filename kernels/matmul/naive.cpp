// The first rung of the ladder: three loops over any strides. Every other variant is tested against the same table as this one.
// Bound by latency: one multiply-add at a time.
#include <cmath>

#include "engine/parallel.h"
#include "engine/simd.h"
#include "kernels/matmul/matmul.h"

namespace ww::WW_ISA {
namespace {

template <class T>
void naive(const Call& call) {
    const View &out = call.view(0), &x = call.view(1), &w = call.view(2), &bias = call.view(3);
    int d = out.ndim - 2;
    int64_t batch = 1;
    for (int i = 0; i < d; i++) batch *= out.shape[i];
    int64_t m = out.shape[d], n = out.shape[d + 1], k = x.shape[d + 1];
    parallel_for(batch * m, 1 + 4096 / (n * k + 1), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) {
            int64_t rest = row / m, i = row % m;
            T* o = out.ptr<T>() + i * out.strides[d];
            const T *a = x.ptr<T>() + i * x.strides[d], *b = w.ptr<T>();
            for (int axis = d - 1; axis >= 0; axis--) {
                int64_t at = rest % out.shape[axis];
                rest /= out.shape[axis];
                o += at * out.strides[axis], a += at * x.strides[axis], b += at * w.strides[axis];
            }
            for (int64_t j = 0; j < n; j++) {
                T sum = 0;
                for (int64_t l = 0; l < k; l++) sum += a[l * x.strides[d + 1]] * b[l * w.strides[d] + j * w.strides[d + 1]];
                if (bias.present()) sum += bias.ptr<T>()[j * bias.strides[0]];
                switch (call.integer(0)) {
                    case 1: sum = sum < 0 ? T(0) : sum; break;
                    case 2: sum = std::tanh(sum); break;
                    case 3: sum = 1 / (1 + std::exp(-sum)); break;
                    case 4: sum = sum * T(0.5) * (1 + std::erf(sum * T(0.7071067811865476))); break;
                }
                o[j * out.strides[d + 1]] = sum;
            }
        }
    });
}

constexpr Kernel kernels[] = {{&kMatmulForward, "naive", WW_ISA_NAME, kFloats, by_float<naive<float>, naive<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
