// ldmatrix and mma.sync: a warp's lanes hold the parts of small matrices as the PTX ISA lays them out ("Matrix Fragments for
// mma.m16n8k8, mma.m16n8k16").
#include <cstring>
#include <utility>

#include "engine/cuda/sim/block.h"
#include "engine/cuda/sim/sanitizers.h"
#include "engine/cuda/sim/storage.h"

namespace ww::sim {
namespace {

struct Load {
    uint16_t row[8];
    uint32_t registers[4];
    int matrices;
    bool transposed;
};

void distribute(void** lanes, uint32_t) {
    const Load& first = *static_cast<Load*>(lanes[0]);
    for (int matrix = 0; matrix < first.matrices; matrix++)
        for (int lane = 0; lane < 32; lane++) {
            uint16_t pair[2];
            for (int i = 0; i < 2; i++) {
                int row = lane / 4, column = lane % 4 * 2 + i;
                if (first.transposed) std::swap(row, column);
                pair[i] = static_cast<Load*>(lanes[matrix * 8 + row])->row[column];
            }
            static_cast<Load*>(lanes[lane])->registers[matrix] = pair[0] | static_cast<uint32_t>(pair[1]) << 16;
        }
}

struct Product {
    const uint32_t *a, *b;
    float* d;
    Format format;
};

// `packed` elements to a 32-bit register.
template <int packed, class Read>
void gather(void** lanes, float (&a)[16][16], float (&b)[16][8], Read read) {
    for (int lane = 0; lane < 32; lane++) {
        const Product& own = *static_cast<Product*>(lanes[lane]);
        int group = lane / 4, within = lane % 4;
        for (int i = 0; i < 4; i++)
            for (int e = 0; e < packed; e++) a[group + i % 2 * 8][within * packed + e + i / 2 * 4 * packed] = read(own.a[i], e);
        for (int i = 0; i < 2; i++)
            for (int e = 0; e < packed; e++) b[within * packed + e + i * 4 * packed][group] = read(own.b[i], e);
    }
}

void multiply(void** lanes, uint32_t) {
    Format format = static_cast<Product*>(lanes[0])->format;
    float a[16][16], b[16][8], c[16][8];
    auto half_of = [](uint32_t word, int e) { return static_cast<uint16_t>(word >> (16 * e)); };
    switch (format) {
        case Format::bf16: gather<2>(lanes, a, b, [&](uint32_t w, int e) { return bf16_bits_to_float(half_of(w, e)); }); break;
        case Format::half: gather<2>(lanes, a, b, [&](uint32_t w, int e) { return half_bits_to_float(half_of(w, e)); }); break;
        case Format::tf32: gather<1>(lanes, a, b, [](uint32_t w, int) { return tf32_bits_to_float(w); }); break;
    }
    int depth = format == Format::tf32 ? 8 : 16;
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 8; column++)
            c[row][column] = static_cast<Product*>(lanes[row % 8 * 4 + column / 2])->d[row / 8 * 2 + column % 2];
    for (int row = 0; row < 16; row++)
        for (int k = 0; k < depth; k++)
            for (int column = 0; column < 8; column++) c[row][column] += a[row][k] * b[k][column];
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 8; column++)
            static_cast<Product*>(lanes[row % 8 * 4 + column / 2])->d[row / 8 * 2 + column % 2] = c[row][column];
}

}  // namespace

void load_matrices(uint32_t* registers, int matrices, bool transposed, uint32_t address, Location at) {
    Inside inside("ldmatrix", at);
    Load load;
    load.matrices = matrices;
    load.transposed = transposed;
    if (static_cast<int>(current->lane) < 8 * matrices) {
        if (address % 16)
            launch_fail(at, "ldmatrix: misaligned: expected a shared address that is a multiple of 16, got %u", address);
        char* row = shared_pointer(address, 16, "ldmatrix", at);
        tsan_reads(row, 16);
        Quiet quiet;
        std::memcpy(load.row, row, 16);
    }
    warp_collective(~0u, "ldmatrix", at, &load, distribute);
    for (int i = 0; i < matrices; i++) registers[i] = load.registers[i];
}

void multiply_matrices(float* d, const uint32_t* a, const uint32_t* b, Format format, Location at) {
    Product product{a, b, d, format};
    warp_collective(~0u, format == Format::tf32 ? "mma.m16n8k8" : "mma.m16n8k16", at, &product, multiply);
}

}  // namespace ww::sim
