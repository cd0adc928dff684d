// Threads, warps, blocks and grids: every construct and wrapper by which they know, meet and tell each other, against what the CUDA
// and PTX manuals say it does. In the simulator under each schedule; compiled by nvcc, on a GPU.
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

// Lanes that a warp reads with a lane, a distance or a mask of any size, in segments of each width: out[lane] = the lane it reads.
__global__ void shuffle_far(int by, int width, int* out) {
    const int lane = static_cast<int>(threadIdx.x);
    out[lane] = __shfl_sync(kFullMask, lane, by, width);
    out[32 + lane] = __shfl_up_sync(kFullMask, lane, static_cast<unsigned>(by), width);
    out[64 + lane] = __shfl_down_sync(kFullMask, lane, static_cast<unsigned>(by), width);
    out[96 + lane] = __shfl_xor_sync(kFullMask, lane, by, width);
}

// The pseudocode of the PTX ISA for shfl.sync, over the operands that CUDA's functions make.
int lane_by_manual(int mode, int lane, int by, int width) {
    const int bval = by & 31, segments = (32 - width) & 31, clamp = mode == 1 ? 0 : 31;
    const int most = (lane & segments) | (clamp & ~segments & 31), least = lane & segments;
    const int from = mode == 0 ? least | (bval & ~segments & 31) : mode == 1 ? lane - bval : mode == 2 ? lane + bval : lane ^ bval;
    return (mode == 1 ? from >= most : from <= most) ? from : lane;
}

void far_shuffles() {
    Array<int> out(128);
    for (int width = 1; width <= 32; width *= 2)
        for (int by : {0, 1, 5, 8, 16, 31, 32, 33, 40, 63, 64, 1000, -1, -5, -31, -32, -33, 1 << 30}) {
            launch<shuffle_far>({1, 32}, by, width, out.data());
            harness::wait();
            bool right = true;
            for (int i = 0; i < 128; i++) right &= out[static_cast<size_t>(i)] == lane_by_manual(i / 32, i % 32, by, width);
            CHECK_IN((std::to_string(by) + " in segments of " + std::to_string(width)).c_str(), right);
        }
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

// Block 0 leaves a number and raises a flag, block 1 waits for the flag and takes the number.
__global__ void tell(int* number, uint32_t* flag, int* heard) {
    if (threadIdx.x) return;
    if (blockIdx.x == 0) {
        *number = 41;
        add_release(flag, 3);
    } else {
        poll_until_ge(flag, 3);
        *heard = *number + static_cast<int>(load_acquire(flag));
    }
}

void flags() {
    harness::sweep([](const char* schedule) {
        Array<int> number(1), heard(1);
        Array<uint32_t> flag(1);
        flag.fill(0);
        launch<tell>({2, 32, 0, true}, number.data(), flag.data(), heard.data());
        harness::wait();
        CHECK_IN(schedule, heard[0] == 44);
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
    far_shuffles();
    named_barriers();
    atomics();
    grid_barriers();
    last_block();
    flags();
    carver();
    properties();
    return check::summary("conformance");
}
