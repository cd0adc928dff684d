// The first rung of the ladder on a GPU: one thread an output, three steps any reader knows. Any strides, float32 and float64.
//   out[i, j] = activation(sum over l of x[i, l] w[l, j] + bias[j])
// Bound by the latency of global memory: each multiply-add waits for two loads, and nothing is used twice.
#include "kernels/matmul/problem.cuh"

namespace ww::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) naive(MatmulProblem p, MatmulOperands<T> all) {
    int64_t step = int64_t{gridDim.x} * kThreads;
    for (int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x; at < p.outputs(); at += step) {
        int64_t column = at % p.n, row = at / p.n % p.m;
        MatmulOperands<T> o = all.at(p, at / p.n / p.m);
        Sum<T> sum = 0;
        for (int64_t l = 0; l < p.k; l++)
            sum = accumulate(load_value(o.a + row * p.a_row + l * p.a_k), load_value(o.b + l * p.b_k + column * p.b_column), sum);
        finish(p, o, row, column, sum);
    }
}

template <class T>
void run_naive(const Call& call) {
    MatmulProblem p = read_matmul(call);
    if (p.outputs() == 0) return;
    auto blocks = static_cast<unsigned>(std::min<int64_t>(ceil_div(p.outputs(), kThreads), 65536));
    launch<naive<T>>({blocks, kThreads}, p, matmul_operands<T>(call));
}

constexpr Kernel kernels[] = {
    {&kMatmulForward, "naive", WW_DEVICE_NAME, kFloats, by_float<run_naive<float>, run_naive<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
