// Convolution as a matrix product whose left operand is never made (implicit GEMM: Chetlur et al. 2014, arXiv 1410.0759, section
// 3).
//
// Forward and the gradient of x are the same sum: an output row (n, i, j) gathers channels of another picture through the filter's
// taps (r, s), where output i and tap r of an axis meet at i stride + r step + first of what is read.
//
//   forward           output p, tap r: h = p stride + r dilation - padding
//   gradient of x     output h, tap r: p = (h + padding - r dilation) / stride, where that is an integer
//
// The latter falls into lattices, one for each residue of h modulo the stride: within one, neighbours are `stride` apart, the taps
// that meet them are stride / gcd(stride, dilation) apart, and p = h' - r' dilation / gcd + first. No zero is multiplied, and a tap
// that is NaN reaches only the outputs that it meets.
//
//   rows      (n, i, j) of one lattice      columns   outputs of one group
//   k         (r, s, c) with c innermost: a filter of 11 x 11 taps on 3 channels is one k of 363, no channel is filled up
//
// The gradient of w multiplies the same rows with the gradient of y: its rows are the filters, its columns this k, and its k these
// rows.
#pragma once

#include <algorithm>
#include <numeric>

#include "kernels/common/divider.cuh"
#include "kernels/common/epilogue.cuh"
#include "kernels/conv2d/conv2d.h"

namespace ww::cuda {

struct GatherAxis {
    int lattices, outputs, taps;              // outputs and taps of one lattice; some may lie beyond `size` and `filter`
    int size, output_step, filter, tap_step;  // of the picture that is made and of the filter
    int read, stride, step;                   // of the picture that is read
    int padding, dilation;
    bool transposed;  // gradient of x

    GatherAxis(const ConvAxis& a, bool gradient) : padding(static_cast<int>(a.padding)), dilation(static_cast<int>(a.dilation)) {
        const auto in = static_cast<int>(a.in), out = static_cast<int>(a.out), s = static_cast<int>(a.stride);
        transposed = gradient;
        filter = static_cast<int>(a.filter);
        if (gradient) {
            const int common = std::gcd(s, dilation);
            lattices = std::min(s, in), output_step = s, tap_step = s / common;
            size = in, read = out, stride = 1, step = -(dilation / common);
        } else {
            lattices = output_step = tap_step = 1;
            size = out, read = in, stride = s, step = dilation;
        }
        outputs = static_cast<int>(ceil_div(size, output_step)), taps = static_cast<int>(ceil_div(filter, tap_step));
    }
};

// One lattice of an axis.
struct Lattice {
    int first, output, tap;  // position of output 0 and tap 0 in what is read, and which of the output and the filter they are

    WW_DEVICE Lattice(const GatherAxis& a, int index) : first(-a.padding), output(index), tap(0) {
        if (!a.transposed) return;
        const int from = index + a.padding;
        while (tap < a.tap_step && tap < a.filter && (from - tap * a.dilation) % a.output_step) tap++;
        if (tap == a.tap_step) tap = a.filter;  // no tap meets this lattice
        first = tap < a.filter ? (from - tap * a.dilation) / a.output_step : 0;
    }
};

struct PictureSteps {
    int64_t n, c, h, w;
    PictureSteps(const View& v) : n(v.strides[0]), c(v.strides[1]), h(v.strides[2]), w(v.strides[3]) {}
};

struct Gather {
    GatherAxis h, w;
    int batch, groups, channels, columns;  // channels that are read and outputs that are made in a group
    PictureSteps read, made;
    int64_t filter_column, filter_channel, filter_r, filter_s, filter_group;
    Divider by_picture, by_line, by_tap, by_tap_line;  // of a row into (n, i, j), of k into (r, s, c)

    Gather(const Conv2d& c, bool gradient, const View& from, const View& filter, const View& to)
        : h(c.h, gradient),
          w(c.w, gradient),
          batch(static_cast<int>(c.N)),
          groups(static_cast<int>(c.groups)),
          channels(static_cast<int>(gradient ? c.Kg : c.Cg)),
          columns(static_cast<int>(gradient ? c.Cg : c.Kg)),
          read(from),
          made(to),
          filter_column(filter.strides[gradient ? 1 : 0]),
          filter_channel(filter.strides[gradient ? 0 : 1]),
          filter_r(filter.strides[2]),
          filter_s(filter.strides[3]),
          filter_group(c.Kg * filter.strides[0]),
          by_picture(std::max(1, h.outputs * w.outputs)),
          by_line(std::max(1, w.outputs)),
          by_tap(std::max(1, channels)),
          by_tap_line(w.taps) {}

    static Gather forward(const Call& call) { return {Conv2d::forward(call), false, call.view(1), call.view(2), call.view(0)}; }
    static Gather backward_x(const Call& call) {
        return {Conv2d::backward_x(call), true, call.view(1), call.view(2), call.view(0)};
    }
    // Of the rows that the gradient of w multiplies with that of y: what forward reads and makes.
    static Gather backward_w(const Call& call) {
        return {Conv2d::backward_w(call), false, call.view(1), call.view(0), call.view(2)};
    }

    WW_HOST_DEVICE int64_t rows() const { return int64_t{batch} * h.outputs * w.outputs; }
    WW_HOST_DEVICE int64_t k() const { return int64_t{h.taps} * w.taps * channels; }
    WW_HOST_DEVICE int64_t parts() const { return int64_t{groups} * h.lattices * w.lattices; }
};

// A group and a lattice of each axis: what one matrix product computes.
struct GatherPart {
    Lattice h, w;
    int group;
    WW_DEVICE GatherPart(const Gather& p, int64_t index)
        : h(p.h, static_cast<int>(index % p.h.lattices)),
          w(p.w, static_cast<int>(index / p.h.lattices % p.w.lattices)),
          group(static_cast<int>(index / p.h.lattices / p.w.lattices)) {}
};

// Where row (n, i, j) lies in the picture that is made, channel 0 of the whole; false where a lattice ends before it.
WW_DEVICE bool made_offset(const Gather& p, const GatherPart& part, int row, int64_t& offset) {
    int within, j;
    const int n = p.by_picture.divide(row, within), i = p.by_line.divide(within, j);
    const int h = part.h.output + i * p.h.output_step, w = part.w.output + j * p.w.output_step;
    offset = n * p.made.n + h * p.made.h + w * p.made.w;
    return h < p.h.size && w < p.w.size;
}

WW_DEVICE int64_t filter_offset(const Gather& p, const GatherPart& part, int column, int r, int s, int c) {
    return part.group * p.filter_group + column * p.filter_column + c * p.filter_channel + r * p.filter_r + s * p.filter_s;
}

// k as (r, s, c): taps of the filter; false where a lattice ends before them.
WW_DEVICE bool split_k(const Gather& p, const GatherPart& part, int l, int& i, int& r, int& j, int& s, int& c) {
    i = p.by_tap_line.divide(p.by_tap.divide(l, c), j);
    r = part.h.tap + i * p.h.tap_step, s = part.w.tap + j * p.w.tap_step;
    return r < p.h.filter && s < p.w.filter;
}

// ---- sources of the mainloops ----------------------------------------------------------------------------------------------

// The gathered rows [first, last) of a part.
template <class T>
struct GatheredRows {
    const T* data;
    const Gather& p;
    const GatherPart& part;
    int64_t first, last;

    WW_DEVICE const T* base() const { return data; }
    WW_DEVICE bool k_is_nearest() const { return p.read.c == 1; }
    WW_DEVICE bool find(int64_t row, int64_t l, const T*& from) const {
        if (row >= last - first || l >= p.k()) return false;
        int within, j, i, tap_i, r, tap_j, s, c;
        const int n = p.by_picture.divide(static_cast<int>(row + first), within);
        i = p.by_line.divide(within, j);
        if (!split_k(p, part, static_cast<int>(l), tap_i, r, tap_j, s, c)) return false;
        const int h = i * p.h.stride + tap_i * p.h.step + part.h.first, w = j * p.w.stride + tap_j * p.w.step + part.w.first;
        if (h < 0 || h >= p.h.read || w < 0 || w >= p.w.read) return false;
        from = data + n * p.read.n + (int64_t{part.group} * p.channels + c) * p.read.c + h * p.read.h + w * p.read.w;
        return true;
    }
    // Channels come in whole runs of n (gather_access), so a run has one tap.
    WW_DEVICE int along_k(int64_t row, int64_t l, int n, const T*& from) const {
        from = data;
        return find(row, l, from) ? n : 0;
    }
};

// The same with rows and k exchanged: the right operand of the gradient of w.
template <class T>
struct GatheredColumns {
    GatheredRows<T> rows;
    WW_DEVICE const T* base() const { return rows.base(); }
    WW_DEVICE bool k_is_nearest() const { return !rows.k_is_nearest(); }
    WW_DEVICE bool find(int64_t column, int64_t l, const T*& from) const { return rows.find(l, column, from); }
    WW_DEVICE int along_rows(int64_t column, int64_t l, int n, const T*& from) const { return rows.along_k(l, column, n, from); }
};

// The filters of a part: column, k.
template <class T>
struct Filters {
    const T* data;
    const Gather& p;
    const GatherPart& part;

    WW_DEVICE const T* base() const { return data; }
    WW_DEVICE bool k_is_nearest() const { return p.filter_channel == 1; }
    WW_DEVICE bool find(int64_t column, int64_t l, const T*& from) const {
        if (column >= p.columns || l >= p.k()) return false;
        int i, r, j, s, c;
        if (!split_k(p, part, static_cast<int>(l), i, r, j, s, c)) return false;
        from = data + filter_offset(p, part, static_cast<int>(column), r, s, c);
        return true;
    }
    WW_DEVICE int along_k(int64_t column, int64_t l, int n, const T*& from) const {
        from = data;
        return find(column, l, from) ? n : 0;
    }
    WW_DEVICE int along_rows(int64_t column, int64_t l, int n, const T*& from) const { return along_k(column, l, n, from); }
};

// The gradient of y as the left operand of that of w: row k of the group, and rows [first, last) of the gather as its k.
template <class T>
struct OutputGradients {
    const T* data;
    const Gather& p;
    const GatherPart& part;
    int64_t first, last;

    WW_DEVICE const T* base() const { return data; }
    WW_DEVICE bool k_is_nearest() const { return p.made.c != 1; }
    WW_DEVICE bool find(int64_t row, int64_t l, const T*& from) const {
        int64_t offset;
        if (row >= p.columns || l >= last - first || !made_offset(p, part, static_cast<int>(l + first), offset)) return false;
        from = data + offset + (int64_t{part.group} * p.columns + row) * p.made.c;
        return true;
    }
    WW_DEVICE int along_rows(int64_t row, int64_t l, int n, const T*& from) const {
        from = data;
        return find(row, l, from) ? n : 0;
    }
};

}  // namespace ww::cuda
