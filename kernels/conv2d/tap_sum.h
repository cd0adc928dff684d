// What forward and backward_x share: a sum over taps, for every pixel of a lattice,
//
//     out[n, i, j, o] = sum over taps t, channels c of in[n, i step_h + tap_h[t], j step_w + tap_w[t], c] * weights[t, c, o]
//
// as a product on the batch-reduce GEMM microkernel without an im2col buffer (Georganas et al. 2019, arXiv 1906.06440, section 3):
// rows of A are pixels, read where they lie, whatever the stride or dilation; blocks of the sum are taps. A tile of pixels whose
// taps all lie inside the input has one pointer a row and an offset a tap; at the border each (tap, row) has its own pointer, to
// zeros where the tap is padding, and a tap that is padding for all rows is left out (unless a weight is infinite or NaN, which
// zeros do not hide). A pixel's sum is the same chain either way: block of channels by block, tap by tap. The rows of a tile are
// the same pixel of neighbouring images first, so that border tiles can leave out what is a tenth of the sum of a 3x3 filter on
// 13x13 pixels.
//
// With few channels, as in a first layer, a tap covers a whole run of neighbouring pixels, whose channels are one row in memory; a
// run that hangs over the border is copied out beside zeros.
//
// The sum is cut into groups of at most kLongestGroup terms, so that a panel of weights for one group stays in L1 while the tiles
// of a job pass by it; partial sums are added up in the output, in order. Bound by arithmetic.
#pragma once

#include <algorithm>
#include <atomic>

#include "engine/parallel.h"
#include "kernels/common/epilogue.h"
#include "kernels/common/pack.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kLongestGroup = 576;
constexpr int64_t kTableBytes = 64 * 1024;  // of row pointers a job may hold
constexpr int64_t kTogether = 18;           // images whose pixels share tiles: two tiles of the same pixel with AVX-512

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
struct TapSum {
    const T* in;  // channel c of group g of pixel (n, h, w): in[n in_n + h in_h + w in_w + g channels + c]
    int64_t in_n, in_h, in_w, height, width;
    int64_t run;       // pixels a tap covers
    int64_t channels;  // terms of a tap: channels of the run's pixels
    int64_t taps;
    const int64_t *tap_h, *tap_w;
    int64_t step_h, step_w;

    T* out;  // out[n out_n + i out_h + j out_w + (g outputs + o) out_channel]
    int64_t out_n, out_h, out_w, out_channel;
    int64_t n, rows, columns, groups, outputs;  // of the lattice; outputs of one group

    const T* weights;  // of group g at g * weights_step(); see pack_weights
    const T* zeros;    // `channels` of them
    bool finite;       // all weights are
    Epilogue<T> epilogue;

    int64_t channel_blocks() const { return std::max<int64_t>(1, ceil_div(channels, kLongestGroup)); }
    int64_t channel_block() const { return ceil_div(channels, channel_blocks()); }
    int64_t tap_groups() const {
        int64_t longest = std::max<int64_t>(1, kLongestGroup / std::max<int64_t>(1, channel_block()));
        return std::max<int64_t>(1, ceil_div(taps, longest));
    }
    int64_t panels() const { return ceil_div(outputs, Tile<T>::columns); }
    int64_t weights_step() const { return packed_size<T>(taps * channels, outputs); }
    int64_t pixels() const { return n * rows * columns; }
};

// How the lattice is cut into jobs. The room that a job needs does not depend on the number of threads.
template <class T>
struct TapJobs {
    int64_t tiles, tile_block, panel_block, tile_blocks, panel_blocks, jobs, slots;
    int64_t pointers, patch, kept;  // room of a job, in pointers, elements and taps

    TapJobs(const TapSum<T>& s, int threads) {
        constexpr int64_t rows = Tile<T>::rows;
        int64_t per_tile = std::max<int64_t>(1, s.taps) * rows;
        tiles = ceil_div(s.pixels(), rows);
        tile_block = std::clamp<int64_t>(kTableBytes / (per_tile * static_cast<int64_t>(sizeof(T*))), 1, 32);
        pointers = tile_block * per_tile;
        kept = tile_block * std::max<int64_t>(1, s.taps);
        patch = s.run > 1 ? pointers * s.channels : 0;
        panel_block = std::max<int64_t>(1, s.panels());
        auto cut = [&] {
            tile_blocks = ceil_div(tiles, tile_block), panel_blocks = ceil_div(s.panels(), panel_block);
            jobs = s.groups * tile_blocks * panel_blocks;
        };
        cut();
        while (threads > 1 && jobs < 6 * threads && (panel_block > 2 || tile_block > 4)) {
            if (panel_block > 2) panel_block = ceil_div(panel_block, 2);
            else tile_block = ceil_div(tile_block, 2);
            cut();
        }
        slots = std::max<int64_t>(1, std::min<int64_t>(jobs, threads));
        if (s.pixels() * s.outputs * s.taps * s.channels < 32 * 1024) slots = 1;
    }
};

// Panel by panel, in the order of the sum: block of channels, tap, channel. The weight of (t, c, o) in a group is at
// source[o * output_stride + tap_offset[t] + (c / run_channels) * run_stride + (c % run_channels) * channel_stride].
template <class T>
struct WeightSource {
    const T* source;
    int64_t group_stride, output_stride, channel_stride, run_stride, run_channels;
    const int64_t* tap_offset;
};

// Returns whether all of them are finite.
template <class T>
bool pack_weights(const TapSum<T>& s, const WeightSource<T>& from, T* to) {
    std::atomic<bool> finite{true};
    parallel_for(s.groups * s.panels(), 1, [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; task++) {
            int64_t group = task / s.panels(), panel = task % s.panels(), o = panel * Tile<T>::columns;
            const T* source = from.source + group * from.group_stride + o * from.output_stride;
            T* at = to + group * s.weights_step() + panel * panel_step<T>(s.taps * s.channels);
            int64_t width = panel_width<T>(s.outputs, o), columns = std::min(width, s.outputs - o);
            T none = 0;  // becomes NaN
            for (int64_t c0 = 0; c0 < s.channels; c0 += s.channel_block())
                for (int64_t t = 0; t < s.taps; t++)
                    for (int64_t c = c0; c < std::min(s.channels, c0 + s.channel_block()); c++, at += width) {
                        const T* row = source + from.tap_offset[t] + c / from.run_channels * from.run_stride +
                                       c % from.run_channels * from.channel_stride;
                        for (int64_t j = 0; j < columns; j++) at[j] = row[j * from.output_stride], none += at[j] * T(0);
                        for (int64_t j = columns; j < width; j++) at[j] = 0;
                    }
            if (none != 0) finite = false;
        }
    });
    return finite;
}

// One tile of pixels: where its rows are read and written.
template <class T>
struct PixelTile {
    int height;
    bool inside;        // all taps of all rows lie inside the input
    const T** pointer;  // inside: a row's pixel; else [kept tap][row]
    int32_t* kept;      // not inside: the taps that are not left out, in order
    int64_t count;      // of them
    int64_t to[Tile<T>::rows];
};

// Smallest and largest tap offsets, which tell whether a pixel is inside.
struct TapReach {
    int64_t low_h = 0, high_h = 0, low_w = 0, high_w = 0;
};

template <class T>
TapReach reach(const TapSum<T>& s) {
    TapReach r;
    for (int64_t t = 0; t < s.taps; t++) {
        if (t == 0) r = {s.tap_h[0], s.tap_h[0], s.tap_w[0], s.tap_w[0]};
        r.low_h = std::min(r.low_h, s.tap_h[t]), r.high_h = std::max(r.high_h, s.tap_h[t]);
        r.low_w = std::min(r.low_w, s.tap_w[t]), r.high_w = std::max(r.high_w, s.tap_w[t]);
    }
    r.high_w += s.run - 1;
    return r;
}

// The run of tap (h, w) where it lies, zeros where it is all padding, or a copy in `patch`, which then moves on.
template <class T>
const T* tap_pointer(const TapSum<T>& s, const T* image, int64_t h, int64_t w, T*& patch) {
    if (h < 0 || h >= s.height || w >= s.width || w + s.run <= 0) return s.zeros;
    if (w >= 0 && w + s.run <= s.width) return image + h * s.in_h + w * s.in_w;
    int64_t pixel = s.channels / s.run, first = std::max<int64_t>(0, -w), last = std::min(s.run, s.width - w);
    T* to = patch;
    patch += s.channels;
    std::fill(to, to + s.channels, T(0));
    const T* from = image + h * s.in_h + (w + first) * s.in_w;
    std::copy(from, from + (last - first) * pixel, to + first * pixel);
    return to;
}

template <class T>
PixelTile<T> place_tile(const TapSum<T>& s, const TapReach& reach, int64_t group, int64_t tile, const T** pointers, int32_t* kept,
                        T*& patch) {
    constexpr int rows = Tile<T>::rows;
    int64_t first = tile * rows;
    PixelTile<T> place{static_cast<int>(std::min<int64_t>(rows, s.pixels() - first)), true, pointers, kept, 0, {}};
    const T* image[rows];
    int64_t h[rows], w[rows];
    for (int r = 0; r < rows; r++) {
        int64_t pixel = first + std::min(r, place.height - 1);
        // Images are taken kTogether at a time: image of these, column, row, and then the next images.
        int64_t images = kTogether * s.rows * s.columns, n0 = pixel / images * kTogether, together = std::min(kTogether, s.n - n0);
        int64_t at = pixel % images, n = n0 + at % together, j = at / together % s.columns, i = at / together / s.columns;
        image[r] = s.in + n * s.in_n + group * s.channels;
        h[r] = i * s.step_h, w[r] = j * s.step_w;
        place.to[r] = n * s.out_n + i * s.out_h + j * s.out_w;
        place.inside &=
            h[r] + reach.low_h >= 0 && h[r] + reach.high_h < s.height && w[r] + reach.low_w >= 0 && w[r] + reach.high_w < s.width;
    }
    if (place.inside) {
        for (int r = 0; r < rows; r++) pointers[r] = image[r] + h[r] * s.in_h + w[r] * s.in_w;
        return place;
    }
    for (int64_t t = 0; t < s.taps; t++) {
        bool padding = s.finite;
        for (int r = 0; r < rows; r++) {
            pointers[r] = tap_pointer(s, image[r], h[r] + s.tap_h[t], w[r] + s.tap_w[t], patch);
            padding &= pointers[r] == s.zeros;
        }
        if (padding) continue;
        place.kept[place.count++] = static_cast<int32_t>(t);
        pointers += rows;
    }
    return place;
}

// Tiles [tile0, tile1) times panels [panel0, panel1) of one group.
template <class T>
void run_tap_job(const TapSum<T>& s, int64_t group, int64_t tile0, int64_t tile1, int64_t panel0, int64_t panel1,
                 const T** pointers, int32_t* kept, T* patch) {
    constexpr int rows = Tile<T>::rows;
    alignas(64) T tile[Tile<T>::size];
    PixelTile<T> places[32];
    TapReach extent = reach(s);
    for (int64_t i = 0; i < tile1 - tile0; i++)
        places[i] = place_tile(s, extent, group, tile0 + i, pointers + i * s.taps * rows, kept + i * s.taps, patch);

    int64_t tap_groups = s.tap_groups(), group_taps = ceil_div(s.taps, tap_groups);
    int64_t same[kLongestGroup], moved[kLongestGroup], b_offset[kLongestGroup], kept_offset[kLongestGroup];  // of a group's taps
    for (int64_t panel = panel0; panel < panel1; panel++) {
        int64_t o = panel * Tile<T>::columns, width = panel_width<T>(s.outputs, o);
        const T* b = s.weights + group * s.weights_step() + panel * panel_step<T>(s.taps * s.channels);
        T* out = s.out + (group * s.outputs + o) * s.out_channel;
        Epilogue<T> end = s.epilogue;
        if (end.bias) end.bias += (group * s.outputs + o) * end.column_stride;
        for (int64_t step = 0; step < s.channel_blocks() * tap_groups; step++) {
            int64_t c0 = step / tap_groups * s.channel_block(), k = std::min(s.channel_block(), s.channels - c0);
            int64_t t0 = step % tap_groups * group_taps, count = std::min(group_taps, s.taps - t0);
            for (int64_t t = 0; t < count; t++) {
                same[t] = c0;
                moved[t] = c0 + s.tap_h[t0 + t] * s.in_h + s.tap_w[t0 + t] * s.in_w;
                b_offset[t] = t * k * width;
            }
            const T* terms = b + (c0 * s.taps + t0 * k) * width;
            bool last = step == s.channel_blocks() * tap_groups - 1;
            for (int64_t i = 0; i < tile1 - tile0; i++) {
                const PixelTile<T>& at = places[i];
                Blocks<T> blocks{count, k, at.pointer, 0, moved, 1, terms, b_offset, width};
                if (!at.inside) {
                    const int32_t *first = std::lower_bound(at.kept, at.kept + at.count, t0),
                                  *end_kept = std::lower_bound(first, const_cast<const int32_t*>(at.kept + at.count), t0 + count);
                    blocks.count = end_kept - first;
                    for (int64_t t = 0; t < blocks.count; t++) kept_offset[t] = (first[t] - t0) * k * width;
                    blocks.rows = at.pointer + (first - at.kept) * rows, blocks.row_step = rows;
                    blocks.a_offset = same, blocks.b_offset = kept_offset;
                }
                int columns = static_cast<int>(std::min<int64_t>(Tile<T>::columns, s.outputs - o));
                // Where the tile will go comes into the cache while it is computed: with few terms the stores would wait for it.
                for (int r = 0; step == 0 && s.out_channel == 1 && r < at.height; r++)
                    for (int j = 0; j < columns; j += Tile<T>::lanes) __builtin_prefetch(out + at.to[r] + j, 1);
                brgemm(blocks, at.height, columns, false, false, tile);
                store_tile(tile, TileTarget<T>{out, at.to, s.out_channel, at.height, columns}, step > 0, last ? &end : nullptr);
            }
        }
    }
}

// pointers and patches: room for `slots` jobs at a time.
template <class T>
void run_tap_sum(const TapSum<T>& s, const TapJobs<T>& plan, int64_t slots, const T** pointers, int32_t* kept, T* patches) {
    std::atomic<int64_t> next{0};
    parallel_for(slots, 1, [&](int64_t begin, int64_t end) {
        for (int64_t slot = begin; slot < end; slot++)
            for (int64_t job; (job = next.fetch_add(1, std::memory_order_relaxed)) < plan.jobs;) {
                int64_t panel = job % plan.panel_blocks * plan.panel_block, rest = job / plan.panel_blocks;
                int64_t tile = rest % plan.tile_blocks * plan.tile_block;
                int64_t tile_end = std::min(plan.tiles, tile + plan.tile_block);
                int64_t panel_end = std::min(s.panels(), panel + plan.panel_block);
                run_tap_job(s, rest / plan.tile_blocks, tile, tile_end, panel, panel_end, pointers + slot * plan.pointers,
                            kept + slot * plan.kept, patches + slot * plan.patch);
            }
    });
}

}  // namespace
}  // namespace ww::WW_ISA
