// Two numbers for each channel of x [B, N, C, L], reduced over N and L: how memory is walked and what is joined in which order.
//
// rows     a channel's elements one after another, in blocks of 1024 that lie side by side or are copied so
// columns  where channels lie side by side: blocks of 64 elements of each of 64 channels, vectors across channels
//
// A block stays in the L1 cache, so a reduction may go over it twice. Blocks are joined pairwise, 64 in a task; where a channel has
// more, the tasks' results wait in the workspace and are joined pairwise, too. Cut by N and L alone, never by the threads.
#pragma once

#include <algorithm>

#include "engine/parallel.h"
#include "kernels/common/row.h"
#include "kernels/norm/norm.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kRowBlock = 1024, kColumnBlock = 64, kStrip = 64, kBlocksOfTask = 64;
constexpr int kTaskLevels = 8, kLevels = 48;

// What is known of `count` elements of each of `width` channels.
template <class T, int width>
struct Partial {
    T first[width], second[width], count;
};

// Mean and sum of squares about it (Chan, Golub and LeVeque 1979).
struct JoinMoments {
    template <class T, int width>
    static void join(Partial<T, width>& into, const Partial<T, width>& from) {
        T total = into.count + from.count, share = from.count / total, weight = into.count * share;
        for (int j = 0; j < width; j++) {
            T delta = from.first[j] - into.first[j];
            into.first[j] += delta * share;
            into.second[j] += from.second[j] + delta * delta * weight;
        }
        into.count = total;
    }
};

struct JoinSums {
    template <class T, int width>
    static void join(Partial<T, width>& into, const Partial<T, width>& from) {
        for (int j = 0; j < width; j++) into.first[j] += from.first[j], into.second[j] += from.second[j];
        into.count += from.count;
    }
};

// Joins what comes in pairwise, like carries of a binary counter.
template <class Join, class T, int width, int levels>
class Joined {
    Partial<T, width> stack_[levels];
    int depth_ = 0;
    uint64_t pushed_ = 0;

  public:
    Partial<T, width>& next() { return stack_[depth_]; }  // to be filled, and then
    void push() {
        for (uint64_t blocks = pushed_++; blocks & 1; blocks >>= 1, depth_--) Join::join(stack_[depth_ - 1], stack_[depth_]);
        depth_++;
    }
    const Partial<T, width>& finish() {
        for (; depth_ > 1; depth_--) Join::join(stack_[depth_ - 2], stack_[depth_ - 1]);
        return stack_[0];
    }
};

// Elements [begin, end) of the sequence (n, l) of one channel, side by side: where they lie, or in `buffer`.
template <class T>
const T* side_by_side(const View& x, const T* channel, int64_t begin, int64_t end, T* buffer) {
    if (begin == end) return buffer;  // no elements: nothing to divide by
    int64_t size = x.shape[3], n = begin / size, l = begin % size, step = x.strides[3];
    if (step == 1 && l + end - begin <= size) return channel + n * x.strides[1] + l;
    for (T* to = buffer; begin < end; n++, l = 0) {
        int64_t run = std::min(size - l, end - begin);
        const T* from = channel + n * x.strides[1] + l * step;
        for (int64_t i = 0; i < run; i++) to[i] = from[i * step];
        to += run, begin += run;
    }
    return buffer;
}

// The tasks of one reduction: which channels, and which part of their elements.
struct Tasks {
    int64_t batch, channels, total, size, parts;  // elements of a channel, of a task, tasks of a channel
    Tasks(const View& x, int64_t block)
        : batch(x.shape[0]),
          channels(x.shape[2]),
          total(x.shape[1] * x.shape[3]),
          size(block * kBlocksOfTask),
          parts(std::max<int64_t>(1, (total + size - 1) / size)) {}
    template <class T>
    size_t workspace() const {
        return parts > 1 ? static_cast<size_t>(2 * parts * batch * channels) * sizeof(T) : 0;
    }
};

// `block(partial, b, c, used, begin, end)` fills in elements [begin, end) of channels [c, c + used), of which there are `width` at
// most; `finish(first, second, count)` is applied to each channel's two numbers on their way out.
template <class Join, class T, int width, class Block, class Finish>
void reduce_channels(const Call& call, const View& x, int64_t block_size, Block&& block, Finish&& finish) {
    const View &first = call.view(0), &second = call.view(1);
    const Tasks tasks(x, block_size);
    const int64_t strips = (tasks.channels + width - 1) / width, all = tasks.batch * tasks.channels;
    T* partials = static_cast<T*>(call.workspace);
    auto write = [&](const Partial<T, width>& result, int64_t b, int64_t c, int64_t used) {
        for (int64_t j = 0; j < used; j++) {
            T one = result.first[j], two = result.second[j];
            finish(one, two, static_cast<T>(tasks.total));
            first.ptr<T>()[b * first.strides[0] + (c + j) * first.strides[1]] = one;
            second.ptr<T>()[b * second.strides[0] + (c + j) * second.strides[1]] = two;
        }
    };
    int64_t work = std::min(tasks.total, tasks.size) * width + 1;
    parallel_for(tasks.batch * strips * tasks.parts, 1 + 16384 / work, [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; task++) {
            int64_t part = task % tasks.parts, b = task / tasks.parts / strips, c = task / tasks.parts % strips * width;
            int64_t used = std::min<int64_t>(width, tasks.channels - c), stop = std::min(tasks.total, (part + 1) * tasks.size);
            Joined<Join, T, width, kTaskLevels> joined;
            for (int64_t at = part * tasks.size; at < stop || tasks.total == 0; at += block_size) {
                int64_t to = std::min(stop, at + block_size);
                joined.next().count = static_cast<T>(to - at);
                block(joined.next(), b, c, used, at, to);
                joined.push();
                if (tasks.total == 0) break;
            }
            const Partial<T, width>& result = joined.finish();
            if (tasks.parts == 1) {
                write(result, b, c, used);
                continue;
            }
            T* slot = partials + 2 * part * all + b * tasks.channels + c;
            std::copy_n(result.first, used, slot);
            std::copy_n(result.second, used, slot + all);
        }
    });
    if (tasks.parts == 1) return;
    parallel_for(tasks.batch * strips, 1 + 4096 / (tasks.parts * width), [&](int64_t begin, int64_t end) {
        for (int64_t strip = begin; strip < end; strip++) {
            int64_t b = strip / strips, c = strip % strips * width, used = std::min<int64_t>(width, tasks.channels - c);
            Joined<Join, T, width, kLevels> joined;
            for (int64_t part = 0; part < tasks.parts; part++) {
                const T* slot = partials + 2 * part * all + b * tasks.channels + c;
                Partial<T, width>& next = joined.next();
                std::fill_n(next.first, width, T(0)), std::fill_n(next.second, width, T(0));
                std::copy_n(slot, used, next.first);
                std::copy_n(slot + all, used, next.second);
                next.count = static_cast<T>(std::min(tasks.size, tasks.total - part * tasks.size));
                joined.push();
            }
            write(joined.finish(), b, c, used);
        }
    });
}

// Whether channels lie side by side in each of `count` views of a call, those from `from` on.
template <int from, int count>
bool channels_side_by_side(const Call& call) {
    for (int i = from; i < from + count; i++)
        if (call.view(i).shape[2] > 1 && call.view(i).strides[2] != 1) return false;
    return call.view(from).shape[2] > 1;
}

}  // namespace
}  // namespace ww::WW_ISA
