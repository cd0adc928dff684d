// The walk over the tree of tree.h, for any reduction.
#include "kernels/reduce/tree.h"

#include <cstdlib>

namespace ww::WW_ISA {

ReducePlan::ReducePlan(const View& y, const View& x, bool c_order) {
    int kept_dims[kMaxDims], reduced_dims[kMaxDims], n_kept = 0, n_reduced = 0;
    auto insert = [&](int* dims, int& count, int d, bool sorted) {
        int at = count++;
        for (; sorted && at > 0 && std::llabs(x.strides[dims[at - 1]]) > std::llabs(x.strides[d]); at--) dims[at] = dims[at - 1];
        dims[at] = d;
    };
    for (int d = x.ndim - 1; d >= 0; d--) {
        if (x.shape[d] == 1) continue;
        if (y.shape[d] == x.shape[d]) insert(kept_dims, n_kept, d, true);
        else insert(reduced_dims, n_reduced, d, !c_order);
    }
    for (int i = 0; i < n_kept; i++) {
        int d = kept_dims[i];
        int64_t size = x.shape[d], sx = x.strides[d], sy = y.strides[d];
        outputs *= size;
        if (sx < 0) {
            x_start += (size - 1) * sx;
            y_start += (size - 1) * sy;
            sx = -sx, sy = -sy;
        }
        int last = kept - 1;
        if (kept && sx == kept_strides[last] * kept_shape[last] && sy == y_strides[last] * kept_shape[last]) {
            kept_shape[last] *= size;
            continue;
        }
        kept_shape[kept] = size, kept_strides[kept] = sx, y_strides[kept++] = sy;
    }
    for (int i = 0; i < n_reduced; i++) {
        int d = reduced_dims[i], last = reduced - 1;
        n *= x.shape[d];
        if (reduced && x.strides[d] == strides[last] * shape[last]) shape[last] *= x.shape[d];
        else shape[reduced] = x.shape[d], strides[reduced++] = x.strides[d];
    }
    if (!kept) kept_shape[0] = 1, kept_strides[0] = 0, y_strides[0] = 0, kept = 1;
    if (!reduced) shape[0] = 1, strides[0] = 0, reduced = 1;
}

bool ReducePlan::by_columns(int64_t lanes) const {
    if (kept_shape[0] < 4) return false;
    return n < lanes || (kept_strides[0] == 1 && strides[0] != 1);
}

namespace {

// The elements [begin, end) of one output.
template <class T>
T rows_task(const Reduction<T>& op, const ReducePlan& plan, const T* x, int64_t begin, int64_t end, T p) {
    using Tr = Tree<T>;
    if (end - begin <= Tr::block && plan.reduced == 1 && plan.strides[0] == 1) return op.block(x + begin, end - begin, p);
    alignas(64) T gathered[Tr::block], value[Tr::width] = {};
    PairStack<T, Tr::width, kSubtreeLevels> stack(op);
    ReducedPosition position(plan, begin);
    for (int64_t r = begin; r < end;) {
        int64_t n = std::min(Tr::block, end - r), stride = plan.strides[0];
        const T* block = gathered;
        if (stride == 1 && position.left_in_run() >= n) {
            block = x + position.offset;
            position.advance(n);
        } else {
            for (int64_t filled = 0; filled < n;) {
                int64_t count = std::min(n - filled, position.left_in_run());
                const T* from = x + position.offset;
                if (stride == 1) std::copy_n(from, count, gathered + filled);
                else
                    for (int64_t i = 0; i < count; i++) gathered[filled + i] = from[i * stride];
                position.advance(count);
                filled += count;
            }
        }
        value[0] = op.block(block, n, p);
        r += n;
        stack.push(value, 1);
    }
    return *stack.finish(1);
}

// The elements [begin, end) of `used` neighbouring outputs.
template <class T>
void columns_task(const Reduction<T>& op, const ReducePlan& plan, const T* x, int64_t begin, int64_t end, const T* p, int64_t used,
                  T* result) {
    using Tr = Tree<T>;
    alignas(64) T lanes[Tr::lanes][Tr::columns];
    int64_t offsets[Tr::block];
    PairStack<T, Tr::columns, kSubtreeLevels> stack(op);
    ReducedPosition position(plan, begin);
    for (int64_t r = begin; r < end;) {
        int64_t n = std::min(Tr::block, end - r), full = std::min(n, Tr::lanes);
        for (int64_t i = 0; i < n; i++) {
            offsets[i] = position.offset;
            position.advance(1);
        }
        for (int64_t l = 0; l < full; l++)
            op.lane(lanes[l], {x, offsets + l, (n - l + Tr::lanes - 1) / Tr::lanes, plan.kept_strides[0]}, p, used);
        for (int64_t half = Tr::lanes / 2; half > 0; half /= 2) {
            for (int64_t l = 0; l < half && l + half < full; l++) op.combine(lanes[l], lanes[l + half], used);
            full = std::min(full, half);
        }
        stack.push(lanes[0], used);
        r += n;
    }
    std::copy_n(stack.finish(used), used, result);
}

template <class T>
int64_t subtree(const ReducePlan& plan) {
    return plan.by_columns(Tree<T>::lanes) ? Tree<T>::column_subtree : Tree<T>::row_subtree;
}

// `used` neighbouring outputs, all that one task writes.
struct Chunk {
    int64_t output, used;
    KeptPosition at;

    Chunk(const ReducePlan& plan, int64_t index, int64_t size) : at(plan, first(plan, index, size)) {
        output = first(plan, index, size);
        used = std::min(size, plan.kept_shape[0] - output % plan.kept_shape[0]);
    }
    static int64_t first(const ReducePlan& plan, int64_t index, int64_t size) {
        int64_t chunks = count(plan, size);
        return index / chunks * plan.kept_shape[0] + index % chunks * size;
    }
    static int64_t count(const ReducePlan& plan, int64_t size) { return (plan.kept_shape[0] + size - 1) / size; }  // in a row
};

}  // namespace

template <class T>
int64_t reduce_workspace(const ReducePlan& plan) {
    int64_t part = subtree<T>(plan), parts = (plan.n + part - 1) / part;
    return parts > 1 ? parts * plan.outputs : 0;
}

template <class T>
void reduce_pass(const Reduction<T>& op, const ReducePlan& plan, const T* x, T* y, T* partials) {
    using Tr = Tree<T>;
    if (plan.outputs == 0) return;
    bool by_columns = plan.by_columns(Tr::lanes);
    int64_t part = subtree<T>(plan), parts = std::max<int64_t>(1, (plan.n + part - 1) / part);
    int64_t work = std::min(plan.n, part) + 16;  // of one output in one task
    int64_t size = by_columns ? Tr::columns : std::clamp<int64_t>(16384 / work, 1, Tr::columns);
    int64_t chunks = plan.outputs / plan.kept_shape[0] * Chunk::count(plan, size), step = plan.y_strides[0];

    auto read = [&](const Chunk& chunk, T* p) {
        for (int64_t c = 0; op.reads_y && c < chunk.used; c++) p[c] = y[chunk.at.y + c * step];
    };
    auto write = [&](const Chunk& chunk, T* values, const T* p) {
        op.finish(values, p, chunk.used, op.attribute);
        for (int64_t c = 0; c < chunk.used; c++) y[chunk.at.y + c * step] = values[c];
    };
    parallel_for(chunks * parts, std::max<int64_t>(1, 32768 / (work * std::min(plan.kept_shape[0], size))),
                 [&](int64_t begin, int64_t end) {
                     alignas(64) T values[Tr::columns], p[Tr::columns] = {};
                     for (int64_t task = begin; task < end; task++) {
                         Chunk chunk(plan, task / parts, size);
                         int64_t from = task % parts * part, to = std::min(plan.n, from + part);
                         read(chunk, p);
                         if (plan.n == 0) std::fill_n(values, chunk.used, op.identity);
                         else if (by_columns) columns_task(op, plan, x + chunk.at.x, from, to, p, chunk.used, values);
                         else
                             for (int64_t c = 0; c < chunk.used; c++)
                                 values[c] = rows_task(op, plan, x + chunk.at.x + c * plan.kept_strides[0], from, to, p[c]);
                         if (parts == 1) write(chunk, values, p);
                         else std::copy_n(values, chunk.used, partials + task % parts * plan.outputs + chunk.output);
                     }
                 });
    if (parts == 1) return;
    size = std::min(size, kJoined);
    chunks = plan.outputs / plan.kept_shape[0] * Chunk::count(plan, size);
    parallel_for(chunks, std::max<int64_t>(1, 32768 / (parts * size)), [&](int64_t begin, int64_t end) {
        alignas(64) T p[kJoined] = {};
        for (int64_t index = begin; index < end; index++) {
            Chunk chunk(plan, index, size);
            read(chunk, p);
            PairStack<T, kJoined, kTreeLevels> stack(op);
            for (int64_t k = 0; k < parts; k++) stack.push(partials + k * plan.outputs + chunk.output, chunk.used);
            write(chunk, stack.finish(chunk.used), p);
        }
    });
}

template int64_t reduce_workspace<float>(const ReducePlan&);
template int64_t reduce_workspace<double>(const ReducePlan&);
template void reduce_pass(const Reduction<float>&, const ReducePlan&, const float*, float*, float*);
template void reduce_pass(const Reduction<double>&, const ReducePlan&, const double*, double*, double*);

}  // namespace ww::WW_ISA
