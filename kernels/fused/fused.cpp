// The fused elementwise loop of ww.elementwise: machine code that Numba made of a scalar function, block by block, so that what
// lies between two calls of our vector functions stays in the L1 cache. Strides, broadcasting and threads are map_strided's. Bound
// by bytes, or by the functions called.
#include <algorithm>

#include "kernels/common/strided_loop.h"
#include "kernels/fused/fused.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kRowBytes = 2048, kScratchBytes = 16384;  // at most eight temporaries have whole rows: half an L1 cache

template <class T>
struct Fused {
    // The Context that the contract promises.
    void (*apply)(uint64_t function, T* y, const T* x1, const T* x2, int64_t n);
    const uint64_t* functions;

    void (*block)(const void* context, T* y, const T* const* x, int64_t n, T* scratch, int64_t step);
    int64_t step;
    int inputs;  // and outputs but the first
};

// noexcept: there is no unwinding through code that Numba made.
template <class T>
void apply(uint64_t function, T* y, const T* x1, const T* x2, int64_t n) noexcept {
    constexpr int first[] = {0, 1, 2, 3};
    const Attr none[1] = {};
    View views[3];
    const T* data[] = {y, x1, x2};
    for (int k = 0; k < (x2 ? 3 : 2); k++) {
        views[k].data = const_cast<T*>(data[k]);
        views[k].shape[0] = n;
        views[k].strides[0] = 1;
        views[k].ndim = 1;
        views[k].dtype = dtype_of<T>::value;
    }
    reinterpret_cast<void (*)(const Call&)>(function)({"fused", views, first, none, dtype_of<T>::value});
}

template <class T>
void run_blocks(const void* f, T* y, const T* const* x, int64_t n) {
    const auto& fused = *static_cast<const Fused<T>*>(f);
    alignas(64) T scratch[kScratchBytes / sizeof(T)];
    const T* at[kMaxInputs];
    constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
    for (int64_t i = 0; i < n; i += fused.step) {
        const int64_t next = i + fused.step, end = std::min(n, next + fused.step);
        for (int k = 0; k < fused.inputs; k++) {
            at[k] = x[k] + i;
            // The stages of a block read its inputs one after the other, too short a way for the hardware to look ahead.
            for (int64_t ahead = next; ahead < end; ahead += line) __builtin_prefetch(x[k] + ahead);
        }
        fused.block(&fused, y + i, at, std::min(fused.step, n - i), scratch, fused.step);
    }
}

template <class T>
void forward(const Call& call) {
    constexpr auto item = static_cast<int64_t>(sizeof(T));
    const View& functions = call.view(2);
    const int outputs = call.count(0), inputs = call.count(1), rest = inputs + outputs - 1;
    Fused<T> fused{apply<T>, functions.ptr<const uint64_t>(), reinterpret_cast<decltype(Fused<T>::block)>(call.u64(0)), 0, rest};
    const int64_t rows = std::max<int64_t>(call.integer(1), 1);
    fused.step = std::min(kRowBytes / item, kScratchBytes / item / rows);
    // Each array a parameter, as map_strided wants them. It takes the other outputs for inputs, of whose memory it passes on the
    // addresses: the contract has them dense and alike, so that all is one row.
    int first[kMaxInputs + 2];
    View views[kMaxInputs + 1];
    views[0] = call.view(0);
    for (int k = 0; k < inputs; k++) views[1 + k] = call.view(1, k);
    for (int k = 1; k < outputs; k++) views[inputs + k] = call.view(0, k);
    for (int k = 0; k < rest + 2; k++) first[k] = k;
    const Call flat{call.op, views, first, call.attrs, call.dtype};
    map_strided<T>(flat, rest, run_blocks<T>, &fused, functions.shape[0] ? kCostly : kCheap);
}

bool accepts(const Call& call) { return call.view(2).is_contiguous(); }

constexpr Kernel kernels[] = {
    {&kFusedForward, "blocks", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>, 0, accepts}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
