// Compute capability 9.0: mbarrier objects, TMA and wgmma, against what the PTX manual says they do. In the simulator under each
// schedule; compiled by nvcc for sm_90a, on a GPU. On older ones there is nothing to check.
#include <cstdio>

#include "engine/cuda/tensor_map.cuh"
#include "tests/cuda/harness.cuh"

namespace {

using namespace ww::cuda;
using harness::Array;
using harness::small;

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
#define FOR_HOPPER 1
#else
#define FOR_HOPPER 0  // the kernels are there, and empty
#endif

// Warp 0 fills a buffer, each of its lanes arrives; warp 1 empties it, one of its lanes arrives. Phases alternate in parity. Then
// the barriers are ended and begun anew, in their first phase again, for as many rounds.
__global__ void hand_over(int rounds, int* out) {
#if FOR_HOPPER
    SharedMemory shared;
    int* buffer = shared.take<int>(32);
    uint64_t* barriers = shared.take<uint64_t>(2);
    const uint32_t full = shared_address(barriers), empty = full + 8;
    const int lane = static_cast<int>(threadIdx.x % 32);
    for (int round = 0; round < 2 * rounds; round++) {
        if (round % rounds == 0) {
            __syncthreads();
            if (threadIdx.x == 0) {
                if (round) mbarrier_invalidate(full), mbarrier_invalidate(empty);
                mbarrier_init(full, 32);
                mbarrier_init(empty, 1);
                fence_mbarrier_init();
            }
            __syncthreads();
        }
        const auto parity = static_cast<uint32_t>(round % rounds % 2);
        if (threadIdx.x < 32) {
            mbarrier_wait(empty, parity ^ 1);  // the phase before the first counts as over
            buffer[lane] = round * 100 + lane;
            mbarrier_arrive(full);
        } else {
            mbarrier_wait(full, parity);
            out[round * 32 + lane] = buffer[31 - lane];
            __syncwarp();
            if (lane == 0) mbarrier_arrive(empty);
        }
    }
#endif
}

void barriers() {
    harness::sweep([](const char* schedule) {
        Array<int> out(10 * 32);
        launch<hand_over>({1, 64, SharedSize().take<int>(32).take<uint64_t>(2).bytes}, 5, out.data());
        harness::wait();
        bool right = true;
        for (int i = 0; i < 320; i++) right &= out[static_cast<size_t>(i)] == i / 32 * 100 + 31 - i % 32;
        CHECK_IN(schedule, right);
    });
}

// One box of a matrix, as it stands in shared memory.
template <class T>
__global__ void copy_box(const WW_GRID_CONSTANT TensorMap map, int x, int y, int elements, T* out) {
#if FOR_HOPPER
    SharedMemory shared;
    T* tile = shared.take<T, 1024>(static_cast<size_t>(elements));
    uint64_t* barrier = shared.take<uint64_t>(1);
    const uint32_t arrived = shared_address(barrier);
    if (threadIdx.x == 0) {
        mbarrier_init(arrived, 1);
        fence_mbarrier_init();
        mbarrier_arrive_expect(arrived, static_cast<uint32_t>(elements * static_cast<int>(sizeof(T))));
        copy_tensor_async(shared_address(tile), &map, x, y, arrived);
    }
    __syncthreads();
    mbarrier_wait(arrived, 0);
    for (int i = static_cast<int>(threadIdx.x); i < elements; i += 32) out[i] = tile[i];
#endif
}

template <class T>
void boxes_of(Element element, bool swizzle) {
    constexpr int rows = 20, columns = 88, box_rows = 16, item = static_cast<int>(sizeof(T));
    const int box_columns = swizzle ? 128 / item : 24;
    Array<T> x(rows * columns, [](size_t i) { return static_cast<T>(i + 1); });
    const TensorMap map = make_tensor_map(x.data(), element, rows, columns, columns * sizeof(T), box_rows,
                                          static_cast<uint32_t>(box_columns), swizzle);
    const int elements = box_rows * box_columns;
    for (auto [left, top] : {std::pair{0, 0}, {8, 3}, {-5, -2}, {80, 10}, {200, 0}})  // the last three reach outside
        harness::sweep([&, left = left, top = top](const char* schedule) {
            Array<T> out(static_cast<size_t>(elements));
            launch<copy_box<T>>({1, 32, static_cast<size_t>(elements * item) + 8}, map, left, top, elements, out.data());
            harness::wait();
            bool right = true;
            for (int row = 0; row < box_rows; row++)
                for (int column = 0; column < box_columns; column++) {
                    const int r = top + row, c = left + column;
                    const bool inside = r >= 0 && r < rows && c >= 0 && c < columns;
                    int byte = column * item;  // with the swizzle, chunks of 16 bytes are permuted by the row
                    if (swizzle) byte = ((byte / 16) ^ (row % 8)) * 16 + byte % 16;
                    const T found = out[static_cast<size_t>(row * box_columns + byte / item)];
                    right &= found == (inside ? x[static_cast<size_t>(r * columns + c)] : T{0});
                }
            CHECK_IN(schedule, right);
        });
}

void boxes() {
    for (bool swizzle : {false, true}) {
        boxes_of<uint16_t>(Element::bfloat16, swizzle);
        boxes_of<uint16_t>(Element::half, swizzle);
        boxes_of<uint32_t>(Element::float32, swizzle);
    }
}

#if FOR_HOPPER
template <class T, int n>
WW_DEVICE void multiply(float (&d)[n], uint64_t a, uint64_t b, bool accumulate) {
    if constexpr (std::is_same_v<T, bfloat16>) wgmma_bf16(d, a, b, accumulate);
    else wgmma_half(d, a, b, accumulate);
}
#endif

// d = a b^T, with a [64, 64] and b [columns, 64], and e = 1 + the same of the first 16 columns alone: two groups in flight, one
// that overwrites its accumulators and one that adds to them.
template <class T, int columns>
__global__ void __launch_bounds__(128) multiply_tiles(const float* a, const float* b, float* d, float* e) {
#if FOR_HOPPER
    SharedMemory shared;
    T* as = shared.take<T, 1024>(64 * 64);
    T* bs = shared.take<T, 1024>(columns * 64);
    const int thread = static_cast<int>(threadIdx.x);
    auto at = [](int row, int column) { return row * 64 + ((column / 8) ^ (row % 8)) * 8 + column % 8; };
    for (int i = thread; i < 64 * 64; i += 128) as[at(i / 64, i % 64)] = from_float<T>(a[i]);
    for (int i = thread; i < columns * 64; i += 128) bs[at(i / 64, i % 64)] = from_float<T>(b[i]);
    fence_proxy_async();
    __syncthreads();
    const uint32_t a_base = shared_address(as), b_base = shared_address(bs);
    float first[columns / 2], second[columns / 2];
    for (int i = 0; i < columns / 2; i++) {
        first[i] = 7;
        second[i] = 1;
    }
    wgmma_fence();
    for (uint32_t k = 0; k < 4; k++)
        multiply<T>(first, wgmma_descriptor(a_base + k * 32), wgmma_descriptor(b_base + k * 32), k > 0);
    wgmma_commit();
    multiply<T>(second, wgmma_descriptor(a_base), wgmma_descriptor(b_base), true);
    wgmma_commit();
    wgmma_wait<1>(first);
    wgmma_wait<0>(second);
    for (int i = 0; i < columns / 2; i++) {
        const int row = thread / 32 * 16 + thread % 32 / 4 + 8 * (i / 2 % 2), column = 8 * (i / 4) + thread % 4 * 2 + i % 2;
        d[row * columns + column] = first[i];
        e[row * columns + column] = second[i];
    }
#endif
}

template <class T, int columns>
void products_of() {
    Array<float> a(64 * 64, small), b(columns * 64, [](size_t i) { return small(i + 77); });
    harness::sweep([&](const char* schedule) {
        Array<float> d(64 * columns), e(64 * columns);
        launch<multiply_tiles<T, columns>>({1, 128, (64 + columns) * 128}, a.data(), b.data(), d.data(), e.data());
        harness::wait();
        bool right = true;
        for (size_t row = 0; row < 64; row++)
            for (size_t column = 0; column < columns; column++) {
                float all = 0, some = 1;
                for (size_t k = 0; k < 64; k++) {
                    all += a[row * 64 + k] * b[column * 64 + k];
                    if (k < 16) some += a[row * 64 + k] * b[column * 64 + k];
                }
                right &= d[row * columns + column] == all && e[row * columns + column] == some;
            }
        CHECK_IN(schedule, right);
    });
}

void products() {
    products_of<bfloat16, 64>();
    products_of<bfloat16, 128>();
    products_of<half, 64>();
    products_of<half, 128>();
}

}  // namespace

int main() {
    if (!harness::hopper()) {
        printf("conformance_hopper: no device of compute capability 9.0: 0 checks, 0 failed\n");
        return 0;
    }
    barriers();
    boxes();
    products();
    return check::summary("conformance_hopper");
}
