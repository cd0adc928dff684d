// What moves and multiplies tiles: cp.async, ldmatrix, mma.sync and the conversions between formats, against what the PTX manual
// says they do. In the simulator under each schedule; compiled by nvcc, on a GPU.
#include <cmath>

#include "tests/cuda/harness.cuh"

namespace {

using namespace ww::cuda;
using harness::Array;
using harness::small;

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

__global__ void fuse(float* single, double* wide) {
    const float x = 1 + single[1];
    const double y = 1 + wide[1];
    if (threadIdx.x) return;
    *single = multiply_add(x, x, -(1 + 2 * single[1]));
    *wide = multiply_add(y, y, -(1 + 2 * wide[1]));
}

// (1 + e)^2 - (1 + 2 e) is e^2 where it is rounded once, and 0 where the product is rounded first.
void multiply_adds() {
    Array<float> single(2, [](size_t) { return 0x1p-12f; });
    Array<double> wide(2, [](size_t) { return 0x1p-27; });
    launch<fuse>({1, 32}, single.data(), wide.data());
    harness::wait();
    CHECK(single[0] == 0x1p-24f && wide[0] == 0x1p-54);
}

}  // namespace

int main() {
    async_copies();
    fragments();
    products();
    conversions();
    multiply_adds();
    return check::summary("conformance_tiles");
}
