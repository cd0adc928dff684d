// The instances of the batch-reduce GEMM microkernel (brgemm.h), one per number of rows and vectors.
#include "kernels/common/brgemm.h"

#include <type_traits>

#include "kernels/common/brgemm_on.h"
#include "kernels/common/unroll.h"

namespace ww::WW_ISA {
namespace {

// Row pointers of the tallest tile take so many of x86-64's general registers that compilers keep the strides in vector registers
// and move them back in each turn, in the slot of a multiply-add: 12 % of 9x1 and 9x2. Volatile keeps them in memory, whose loads
// are free.
template <int Rows>
using Stride = std::conditional_t<(Rows > 6), const volatile int64_t, const int64_t>;

enum class Tiles { overwritten, added_to, gone_on_from };

template <class T, int Rows, int Vectors, bool Masked>
void kernel(const Blocks<T>& g, int last, Tiles use, T* tile) {
    constexpr int lanes = Vec<T>::width;
    Vec<T> acc[Rows][Vectors];
    unroll<Rows>([&](auto r) {
        unroll<Vectors>([&](auto v) {
            acc[r][v] = use == Tiles::gone_on_from ? Vec<T>::load(tile + r * Tile<T>::columns + v * lanes) : Vec<T>::zero();
        });
    });
    Stride<Rows> a_stride = g.a_stride, b_stride = g.b_stride;
    for (int64_t t = 0; t < g.count; t++) {
        const T* a[Rows];
        unroll<Rows>([&](auto r) { a[r] = g.rows[t * g.row_step + r] + g.a_offset[t]; });
        const T* b = g.b + g.b_offset[t];
        int64_t at = 0;
        for (int64_t l = g.k; l > 0; l--) {
            Vec<T> row[Vectors];
            unroll<Vectors>([&](auto v) {
                if constexpr (Masked && v == Vectors - 1) row[v] = Vec<T>::load_partial(b + v * lanes, last);
                else row[v] = Vec<T>::load(b + v * lanes);
            });
            unroll<Rows>([&](auto r) {
                Vec<T> x(a[r][at]);
                unroll<Vectors>([&](auto v) { acc[r][v] = fma(x, row[v], acc[r][v]); });
            });
            at += a_stride;
            b += b_stride;
        }
    }
    unroll<Rows>([&](auto r) {
        unroll<Vectors>([&](auto v) {
            T* to = tile + r * Tile<T>::columns + v * lanes;
            (use == Tiles::added_to ? Vec<T>::load(to) + acc[r][v] : acc[r][v]).store(to);
        });
    });
}

template <class T>
using Instance = void (*)(const Blocks<T>&, int, Tiles, T*);

template <class T>
struct Instances {
    Instance<T> at[Tile<T>::kernels][Tile<T>::vectors][2] = {};

    constexpr Instances() {
        unroll<Tile<T>::kernels>([this](auto i) { add<Tile<T>::heights[i]>(at[i]); });
    }

    template <int Rows>
    static constexpr void add(Instance<T> (&to)[Tile<T>::vectors][2]) {
        unroll<Tile<T>::vectors>([&to](auto v) {
            to[v][0] = kernel<T, Rows, v + 1, false>;
            to[v][1] = kernel<T, Rows, v + 1, true>;
        });
    }
};

template <class T>
void run(const Blocks<T>& blocks, int rows, int columns, bool masked, Tiles use, T* tile) {
    static constexpr Instances<T> instances;
    int height = 0;
    while (Tile<T>::heights[height] < rows) height++;
    int vectors = (columns + Tile<T>::lanes - 1) / Tile<T>::lanes;
    int last = columns - (vectors - 1) * Tile<T>::lanes;
    instances.at[height][vectors - 1][masked && last < Tile<T>::lanes](blocks, last, use, tile);
}

}  // namespace

template <class T>
void brgemm(const Blocks<T>& blocks, int rows, int columns, bool masked, bool add, T* tile) {
    run(blocks, rows, columns, masked, add ? Tiles::added_to : Tiles::overwritten, tile);
}

template <class T>
void brgemm_on(const Blocks<T>& blocks, int rows, int columns, bool masked, T* tile) {
    run(blocks, rows, columns, masked, Tiles::gone_on_from, tile);
}

template void brgemm<float>(const Blocks<float>&, int, int, bool, bool, float*);
template void brgemm<double>(const Blocks<double>&, int, int, bool, bool, double*);
template void brgemm_on<float>(const Blocks<float>&, int, int, bool, float*);
template void brgemm_on<double>(const Blocks<double>&, int, int, bool, double*);

}  // namespace ww::WW_ISA
