// Every construct and PTX wrapper that kernels may use, against what the CUDA and PTX manuals say it does. In the simulator under
// each schedule; compiled by nvcc, on a GPU.
#include <cmath>

#include "tests/cuda/harness.cuh"

namespace {

using namespace ww::cuda;
using harness::Array;
using harness::small;

__global__ void write_indices(int* out) {
    unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    out[block * blockDim.x * blockDim.y * blockDim.z + thread] = static_cast<int>(block * 1000 + thread);
}

void indices() {
    harness::sweep([](const char* schedule) {
        Array<int> out(2 * 3 * 2 * 96);
        launch<write_indices>({{2, 3, 2}, {8, 4, 3}}, out.data());
        harness::wait();
        bool right = true;
        for (size_t i = 0; i < out.size(); i++) right &= out[i] == static_cast<int>(i / 96 * 1000 + i % 96);
        CHECK_IN(schedule, right);
    });
}

// One row a block: lanes by shuffles, warps through shared memory.
__global__ void sum_rows(const float* x, int n, float* sums) {
    SharedMemory shared;
    float* partial = shared.take<float>(32);
    float sum = 0;
    for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x))
        sum += x[blockIdx.x * static_cast<unsigned>(n) + static_cast<unsigned>(i)];
    for (int by = 16; by; by /= 2) sum += __shfl_xor_sync(kFullMask, sum, by);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x < 32) {
        sum = threadIdx.x < blockDim.x / 32 ? partial[threadIdx.x] : 0;
        for (int by = 16; by; by /= 2) sum += __shfl_xor_sync(kFullMask, sum, by);
        if (threadIdx.x == 0) sums[blockIdx.x] = sum;
    }
}

void sums() {
    constexpr size_t rows = 5, n = 301;
    Array<float> x(rows * n, small);
    harness::sweep([&](const char* schedule) {
        Array<float> out(rows);
        launch<sum_rows>({rows, 128, SharedSize().take<float>(32).bytes}, x.data(), static_cast<int>(n), out.data());
        harness::wait();
        for (size_t row = 0; row < rows; row++) {
            float expected = 0;
            for (size_t i = 0; i < n; i++) expected += x[row * n + i];
            CHECK_IN(schedule, out[row] == expected);
        }
    });
}

__global__ void shuffle_and_vote(int* out) {
    int lane = static_cast<int>(threadIdx.x);
    int* own = out + lane * 8;
    own[0] = __shfl_sync(kFullMask, lane * 10, 5);
    own[1] = __shfl_sync(kFullMask, lane * 10, lane + 1, 8);
    own[2] = __shfl_up_sync(kFullMask, lane * 10, 3, 16);
    own[3] = __shfl_down_sync(kFullMask, lane * 10, 3, 16);
    own[4] = __shfl_xor_sync(kFullMask, lane * 10, 9);
    own[5] = static_cast<int>(__ballot_sync(kFullMask, lane % 3 == 0));
    own[6] = __any_sync(kFullMask, lane == 31) * 2 + __all_sync(kFullMask, lane < 31);
    own[7] = lane < 8 ? __shfl_xor_sync(0xffu, lane, 1) : -1;
}

void warps() {
    harness::sweep([](const char* schedule) {
        Array<int> out(32 * 8);
        launch<shuffle_and_vote>({1, 32}, out.data());
        harness::wait();
        for (int lane = 0; lane < 32; lane++) {
            int* own = out.data() + lane * 8;
            CHECK_IN(schedule, own[0] == 50);
            CHECK_IN(schedule, own[1] == (lane / 8 * 8 + (lane + 1) % 8) * 10);
            CHECK_IN(schedule, own[2] == (lane % 16 >= 3 ? lane - 3 : lane) * 10);
            CHECK_IN(schedule, own[3] == (lane % 16 < 13 ? lane + 3 : lane) * 10);
            CHECK_IN(schedule, own[4] == (lane ^ 9) * 10);
            CHECK_IN(schedule, own[5] == 0x49249249);
            CHECK_IN(schedule, own[6] == 2);
            CHECK_IN(schedule, own[7] == (lane < 8 ? lane ^ 1 : -1));
        }
    });
}

// Warp 0 produces, warp 1 consumes, through one buffer and two named barriers.
__global__ void hand_over(int rounds, int* out) {
    SharedMemory shared;
    int* buffer = shared.take<int>(32);
    int lane = static_cast<int>(threadIdx.x % 32);
    for (int round = 0; round < rounds; round++) {
        if (threadIdx.x < 32) {
            if (round > 0) named_barrier_sync(2, 64);
            buffer[lane] = round * 100 + lane;
            named_barrier_arrive(1, 64);
        } else {
            named_barrier_sync(1, 64);
            out[round * 32 + lane] = buffer[31 - lane];
            if (round + 1 < rounds) named_barrier_arrive(2, 64);
        }
    }
}

void named_barriers() {
    harness::sweep([](const char* schedule) {
        Array<int> out(5 * 32);
        launch<hand_over>({1, 64, SharedSize().take<int>(32).bytes}, 5, out.data());
        harness::wait();
        bool right = true;
        for (int i = 0; i < 160; i++) right &= out[static_cast<size_t>(i)] == i / 32 * 100 + 31 - i % 32;
        CHECK_IN(schedule, right);
    });
}

__global__ void count_up(int* integer, float* real, double* wide, unsigned* largest, unsigned* smallest, int* swaps) {
    unsigned me = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(integer, 1);
    atomicAdd(real, 0.5f);
    atomicAdd(wide, 0.25);
    atomicMax(largest, me);
    atomicMin(smallest, me + 7);
    int seen = atomicAdd(swaps, 0);
    for (int next; (next = atomicCAS(swaps, seen, seen + 2)) != seen; seen = next) {
    }
}

void atomics() {
    Array<int> integer(1), swaps(1);
    Array<float> real(1);
    Array<double> wide(1);
    Array<unsigned> largest(1), smallest(1);
    harness::sweep([&](const char* schedule) {
        integer[0] = swaps[0] = 0, real[0] = 0, wide[0] = 0, largest[0] = 0, smallest[0] = 1000000;
        launch<count_up>({7, 64}, integer.data(), real.data(), wide.data(), largest.data(), smallest.data(), swaps.data());
        harness::wait();
        CHECK_IN(schedule, integer[0] == 448 && swaps[0] == 896 && real[0] == 224 && wide[0] == 112);
        CHECK_IN(schedule, largest[0] == 447 && smallest[0] == 7);
    });
}

// Copies of each width, with and without zero fill, in two groups.
template <int bytes>
__global__ void copy_through_shared(const unsigned char* x, int copied, unsigned char* first, unsigned char* second) {
    SharedMemory shared;
    unsigned char* a = shared.take<unsigned char, 16>(32 * bytes);
    unsigned char* b = shared.take<unsigned char, 16>(32 * bytes);
    unsigned at = threadIdx.x * bytes;
    copy_async<bytes>(shared_address(a) + at, x + at);
    copy_async_commit();
    copy_async<bytes>(shared_address(b) + at, x + at, copied);
    copy_async_commit();
    copy_async_wait<1>();
    __syncwarp();
    for (int i = 0; i < bytes; i++) first[at + static_cast<unsigned>(i)] = a[(31 - threadIdx.x) * bytes + static_cast<unsigned>(i)];
    copy_async_wait<0>();
    __syncwarp();
    for (int i = 0; i < bytes; i++)
        second[at + static_cast<unsigned>(i)] = b[(31 - threadIdx.x) * bytes + static_cast<unsigned>(i)];
}

template <int bytes>
void async_copies_of() {
    Array<unsigned char> x(32 * bytes, [](size_t i) { return static_cast<unsigned char>(i * 7 + 1); });
    for (int copied : {0, bytes / 2, bytes}) {
        harness::sweep([&](const char* schedule) {
            Array<unsigned char> first(x.size()), second(x.size());
            launch<copy_through_shared<bytes>>({1, 32, 2 * 32 * bytes}, x.data(), copied, first.data(), second.data());
            harness::wait();
            bool right = true;
            for (size_t i = 0; i < x.size(); i++) {
                size_t byte = i % bytes, from = (31 - i / bytes) * bytes + byte;
                right &= first[i] == x[from];
                right &= second[i] == (static_cast<int>(byte) < copied ? x[from] : 0);
            }
            CHECK_IN(schedule, right);
        });
    }
}

void async_copies() {
    async_copies_of<4>();
    async_copies_of<8>();
    async_copies_of<16>();
}

__global__ void load_fragments(const uint16_t* x, uint32_t* straight, uint32_t* transposed) {
    SharedMemory shared;
    uint16_t* tile = shared.take<uint16_t, 16>(4 * 64);
    for (unsigned i = threadIdx.x; i < 256; i += 32) tile[i] = x[i];
    __syncwarp();
    uint32_t row = shared_address(tile) + threadIdx.x * 16, registers[4];
    load_matrices_x4(registers, row);
    for (unsigned i = 0; i < 4; i++) straight[threadIdx.x * 4 + i] = registers[i];
    load_matrices_x4_transposed(registers, row);
    for (unsigned i = 0; i < 4; i++) transposed[threadIdx.x * 4 + i] = registers[i];
}

void fragments() {
    Array<uint16_t> x(256, [](size_t i) { return static_cast<uint16_t>(i); });
    harness::sweep([&](const char* schedule) {
        Array<uint32_t> straight(128), transposed(128);
        launch<load_fragments>({1, 32, 512}, x.data(), straight.data(), transposed.data());
        harness::wait();
        bool right = true;
        for (uint32_t lane = 0; lane < 32; lane++)
            for (uint32_t matrix = 0; matrix < 4; matrix++) {
                uint32_t row = lane / 4, column = lane % 4 * 2, base = matrix * 64;
                uint32_t low = base + row * 8 + column, high = low + 1;
                right &= straight[lane * 4 + matrix] == (low | high << 16);
                low = base + column * 8 + row, high = low + 8;
                right &= transposed[lane * 4 + matrix] == (low | high << 16);
            }
        CHECK_IN(schedule, right);
    });
}

template <class T>
WW_DEVICE uint32_t pack(float low, float high) {
    return from_float<T>(low).bits | static_cast<uint32_t>(from_float<T>(high).bits) << 16;
}

// d = 1 + a (16 x 16) b (16 x 8); fragments are filled element by element as the PTX manual draws them.
template <class T>
__global__ void multiply_16(const float* a, const float* b, float* d) {
    unsigned group = threadIdx.x / 4, within = threadIdx.x % 4;
    uint32_t fa[4], fb[2];
    float fd[4] = {1, 1, 1, 1};
    for (unsigned i = 0; i < 4; i++) {
        unsigned row = group + i % 2 * 8, column = within * 2 + i / 2 * 8;
        fa[i] = pack<T>(a[row * 16 + column], a[row * 16 + column + 1]);
    }
    for (unsigned i = 0; i < 2; i++) {
        unsigned row = within * 2 + i * 8;
        fb[i] = pack<T>(b[row * 8 + group], b[(row + 1) * 8 + group]);
    }
    if constexpr (sizeof(T) == sizeof(bfloat16) && std::is_same_v<T, bfloat16>) multiply_bf16(fd, fa, fb);
    else multiply_half(fd, fa, fb);
    for (unsigned i = 0; i < 4; i++) d[(group + i / 2 * 8) * 8 + within * 2 + i % 2] = fd[i];
}

__global__ void multiply_8(const float* a, const float* b, float* d) {
    unsigned group = threadIdx.x / 4, within = threadIdx.x % 4;
    uint32_t fa[4], fb[2];
    float fd[4] = {1, 1, 1, 1};
    for (unsigned i = 0; i < 4; i++) fa[i] = to_tf32(a[(group + i % 2 * 8) * 8 + within + i / 2 * 4]);
    for (unsigned i = 0; i < 2; i++) fb[i] = to_tf32(b[(within + i * 4) * 8 + group]);
    multiply_tf32(fd, fa, fb);
    for (unsigned i = 0; i < 4; i++) d[(group + i / 2 * 8) * 8 + within * 2 + i % 2] = fd[i];
}

template <auto kernel>
void product_of(size_t depth) {
    Array<float> a(16 * depth, small), b(depth * 8, [](size_t i) { return small(i + 77); });
    harness::sweep([&](const char* schedule) {
        Array<float> d(128);
        launch<kernel>({1, 32}, a.data(), b.data(), d.data());
        harness::wait();
        bool right = true;
        for (size_t row = 0; row < 16; row++)
            for (size_t column = 0; column < 8; column++) {
                float expected = 1;
                for (size_t k = 0; k < depth; k++) expected += a[row * depth + k] * b[k * 8 + column];
                right &= d[row * 8 + column] == expected;
            }
        CHECK_IN(schedule, right);
    });
}

void products() {
    product_of<multiply_16<bfloat16>>(16);
    product_of<multiply_16<half>>(16);
    product_of<multiply_8>(8);
}

__global__ void convert(const float* x, int n, uint16_t* bf16, uint16_t* f16, uint32_t* tf32) {
    for (int i = static_cast<int>(threadIdx.x); i < n; i += 32) {
        bf16[i] = from_float<bfloat16>(x[i]).bits;
        f16[i] = from_float<half>(x[i]).bits;
        tf32[i] = to_tf32(x[i]);
    }
}
__global__ void there_and_back(uint16_t* f16, uint16_t* bf16) {
    unsigned bits = blockIdx.x * blockDim.x + threadIdx.x;
    f16[bits] = from_float<half>(to_float(half{static_cast<uint16_t>(bits)})).bits;
    bf16[bits] = from_float<bfloat16>(to_float(bfloat16{static_cast<uint16_t>(bits)})).bits;
}

void conversions() {
    struct Row {
        float x;
        uint16_t bf16, f16;
        uint32_t tf32;
    };
    // Ties to even both ways, the ends of the ranges, subnormals of half, tf32's ties away from zero.
    const Row rows[] = {
        {1.0f, 0x3f80, 0x3c00, 0x3f800000},           {-2.5f, 0xc020, 0xc100, 0xc0200000},
        {1.00390625f, 0x3f80, 0x3c04, 0x3f808000},    {1.01171875f, 0x3f82, 0x3c0c, 0x3f818000},
        {1.00048828125f, 0x3f80, 0x3c00, 0x3f802000}, {1.00146484375f, 0x3f80, 0x3c02, 0x3f804000 - 0x2000 + 0x2000},
        {65504.0f, 0x4780, 0x7bff, 0x477fe000},       {65520.0f, 0x4780, 0x7c00, 0x47800000},
        {0x1p-24f, 0x3380, 0x0001, 0x33800000},       {0x1p-25f, 0x3300, 0x0000, 0x33000000},
        {0x1.8p-24f, 0x33c0, 0x0002, 0x33c00000},     {0.0f, 0, 0, 0},
        {INFINITY, 0x7f80, 0x7c00, 0x7f800000}};
    constexpr size_t n = sizeof rows / sizeof *rows;
    Array<float> x(n, [&](size_t i) { return rows[i].x; });
    Array<uint16_t> bf16(n), f16(n), f16_back(65536), bf16_back(65536);
    Array<uint32_t> tf32(n);
    launch<convert>({1, 32}, x.data(), static_cast<int>(n), bf16.data(), f16.data(), tf32.data());
    launch<there_and_back>({256, 256}, f16_back.data(), bf16_back.data());
    harness::wait();
    for (size_t i = 0; i < n; i++) {
        CHECK(bf16[i] == rows[i].bf16);
        CHECK(f16[i] == rows[i].f16);
        CHECK(tf32[i] == rows[i].tf32);
    }
    bool right = true;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        right &= (bits & 0x7fff) > 0x7c00 ? f16_back[bits] == 0x7fff : f16_back[bits] == bits;
        right &= (bits & 0x7fff) > 0x7f80 ? bf16_back[bits] == 0x7fff : bf16_back[bits] == bits;
    }
    CHECK(right);
}

// Each block adds its index to what the block before it wrote in the last round, all around the ring.
__global__ void ring(int rounds, int* values, uint32_t* counter) {
    for (int round = 0; round < rounds; round++) {
        int* from = values + round % 2 * static_cast<int>(gridDim.x);
        int* to = values + (round + 1) % 2 * static_cast<int>(gridDim.x);
        if (threadIdx.x == 0) to[blockIdx.x] = from[(blockIdx.x + gridDim.x - 1) % gridDim.x] + static_cast<int>(blockIdx.x);
        grid_barrier(counter, static_cast<uint32_t>(round) + 1);
    }
}

void grid_barriers() {
    constexpr int blocks = 6, rounds = 5;
    harness::sweep([&](const char* schedule) {
        Array<int> values(2 * blocks);
        Array<uint32_t> counter(1);
        values.fill(0), counter.fill(0);
        launch<ring>({blocks, 64, 0, true}, rounds, values.data(), counter.data());
        harness::wait();
        for (int block = 0; block < blocks; block++) {
            int expected = 0;
            for (int round = 0; round < rounds; round++) expected += (block + blocks - round) % blocks;
            CHECK_IN(schedule, values[static_cast<size_t>(rounds % 2 * blocks + block)] == expected);
        }
    });
}

// The last block to arrive adds up what the others left.
__global__ void last_block_sums(float* partial, uint32_t* counter, float* sum) {
    if (threadIdx.x) return;
    partial[blockIdx.x] = static_cast<float>(blockIdx.x + 1);
    if (add_acquire_release(counter, 1) != gridDim.x - 1) return;
    *sum = 0;
    for (unsigned i = 0; i < gridDim.x; i++) *sum += partial[i];
}

void last_block() {
    harness::sweep([](const char* schedule) {
        Array<float> partial(9), sum(1);
        Array<uint32_t> counter(1);
        counter.fill(0);
        launch<last_block_sums>({9, 32}, partial.data(), counter.data(), sum.data());
        harness::wait();
        CHECK_IN(schedule, sum[0] == 45);
    });
}

__global__ void carve(uint32_t* offsets) {
    SharedMemory shared;
    char* a = shared.take<char>(3);
    double* b = shared.take<double>(2);
    char* c = shared.take<char, 1024>(5);
    if (threadIdx.x) return;
    a[0] = 1, b[0] = 1, c[0] = 1;
    offsets[0] = shared_address(b) % 8;
    offsets[1] = shared_address(c) % 1024;
    offsets[2] = static_cast<uint32_t>(a < reinterpret_cast<char*>(b) && reinterpret_cast<char*>(b + 2) <= c);
}

void carver() {
    Array<uint32_t> offsets(3);
    constexpr size_t bytes = SharedSize().take<char>(3).take<double>(2).take<char, 1024>(5).bytes;
    static_assert(bytes == 1029, "as the carver lays it out");
    launch<carve>({1, 32, bytes}, offsets.data());
    harness::wait();
    CHECK(offsets[0] == 0 && offsets[1] == 0 && offsets[2] == 1);
}

void properties() {
    DeviceProperties device = device_properties();
    CHECK(device.multiprocessors >= 1 && device.shared_bytes_per_block >= 48 * 1024);
    CHECK(resident_blocks<ring>(64, 0) >= 1);
}

}  // namespace

int main() {
    indices();
    sums();
    warps();
    named_barriers();
    atomics();
    async_copies();
    fragments();
    products();
    conversions();
    grid_barriers();
    last_block();
    carver();
    properties();
    return check::summary("conformance");
}
