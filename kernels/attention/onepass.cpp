// Attention in one pass over the keys: s_ij exist a block of queries times a block of keys at a time.
//
// Forward: the softmax of a row whose elements come a block after the other keeps a running maximum m and sum l (Milakov and
// Gimelshein 2018, arXiv 1805.02867, algorithm 3); when m grows, what was summed before is scaled by exp(m_before - m), the output
// too (Dao et al. 2022, arXiv 2205.14135, algorithm 1). Backward: p_ij = exp(s_ij - logsumexp_i) is computed anew (algorithm 4
// there), once with queries and once with keys as rows, so that each gradient is summed by one job in a fixed order.
//
// A job is a block of rows; columns are cut into blocks by their number alone. With causal, blocks that are masked as a whole are
// left out. Products run on brgemm: rows are read in place, the operand of s is packed transposed, that of the sums is read in
// place where its columns are dense. Bound by arithmetic: 4 S E FLOP a query forward, beside an exponential a pair.
#include <atomic>
#include <cmath>

#include "engine/parallel.h"
#include "kernels/attention/blocked.h"
#include "kernels/common/arena.h"
#include "kernels/common/vector_math.h"

namespace ww::WW_ISA {
namespace {

// Sizes of one call, as the contract names them.
struct Sizes {
    int lead;
    int64_t batch, l, s, e, f;

    Sizes(const Call& call, int query)
        : lead(call.view(query).ndim - 2),
          batch(batch_of(call.view(query), lead)),
          l(call.view(query).shape[lead]),
          s(call.view(query + 1).shape[lead]),
          e(call.view(query).shape[lead + 1]),
          f(call.view(query + 2).shape[lead + 1]) {}
};

// One thread's scratch.
template <class T>
struct Scratch {
    T *packed, *packed_other, *weights, *change, *first, *second, *row_max, *row_sum;
    size_t bytes;

    // first, second: widths of the sums; packed operands are at most `depth` x a block, or a block x `depth`.
    Scratch(void* base, const Block<T>& block, int64_t depth, int64_t first_width, int64_t second_width) {
        Arena arena(base);
        int64_t operand = std::max(packed_size<T>(depth, block.most_columns), packed_size<T>(block.most_columns, depth));
        packed = arena.take<T>(operand);
        packed_other = arena.take<T>(operand);
        weights = arena.take<T>(block.scores_size());
        change = arena.take<T>(block.scores_size());
        first = arena.take<T>(block.sums_size(first_width));
        second = arena.take<T>(block.sums_size(second_width));
        row_max = arena.take<T>(std::max(block.most_rows, block.most_columns));
        row_sum = arena.take<T>(std::max(block.most_rows, block.most_columns));
        bytes = arena.used();
    }
};

// body(batch index, first row, rows, scratch) for each block of rows, on as many threads as there is scratch for.
template <class T, class Body>
void for_blocks(const Call& call, int64_t batch, int64_t m, const Block<T>& block, size_t bytes, Body&& body) {
    int64_t blocks = ceil_div(m, block.most_rows), jobs = batch * blocks;
    if (jobs == 0) return;
    int64_t slots = std::min({jobs, static_cast<int64_t>(num_threads()), static_cast<int64_t>(call.workspace_bytes / bytes)});
    std::atomic<int64_t> next{0};
    parallel_for(slots, 1, [&](int64_t begin, int64_t end) {
        for (int64_t slot = begin; slot < end; slot++)
            for (int64_t job; (job = next.fetch_add(1, std::memory_order_relaxed)) < jobs;) {
                int64_t i0 = job % blocks * block.most_rows;
                body(job / blocks, i0, std::min(block.most_rows, m - i0),
                     static_cast<char*>(call.workspace) + static_cast<size_t>(slot) * bytes);
            }
    });
}

template <class T>
size_t slots_bytes(int64_t batch, int64_t m, const Block<T>& block, size_t bytes) {
    int64_t jobs = batch * ceil_div(m, block.most_rows);
    return static_cast<size_t>(std::min(jobs, static_cast<int64_t>(num_threads()))) * bytes;
}

template <class T>
struct ForwardPlan : Sizes {
    Block<T> block;
    explicit ForwardPlan(const Call& call) : Sizes(call, 2), block(l, s) {}
    Scratch<T> scratch(void* base) const { return Scratch<T>(base, block, std::max(e, f), f, 0); }
};

// A block of scores of one row becomes weights; m and l go on, and what was summed before is scaled.
template <class T>
WW_INLINE void online_softmax(T* s, int64_t n, T& m, T& l, const Sums<T>& sums, int64_t i) {
    constexpr int width = Vec<T>::width;
    constexpr T low = -std::numeric_limits<T>::infinity();
    Vec<T> best(m);
    for (int64_t j = 0; j < n; j += width) best = max_nan(best, Vec<T>::load(s + j));
    T top = reduce_max(best), shift = top == low ? T(0) : top;  // -Inf minus -Inf would be NaN
    Vec<T> total = Vec<T>::zero();
    for (int64_t j = 0; j < n; j += width) {
        Vec<T> p = exp(Vec<T>::load(s + j) - Vec<T>(shift));
        p.store(s + j);
        total += p;
    }
    if (top != m) {
        T factor = exp(Vec<T>(m - shift))[0];
        sums.scale_row(i, factor);
        l *= factor;
    }
    m = top, l += reduce_add(total);
}

template <class T>
void forward(const Call& call) {
    ForwardPlan<T> p(call);
    for_blocks(call, p.batch, p.l, p.block, p.scratch(nullptr).bytes, [&](int64_t index, int64_t i0, int64_t m, void* base) {
        Scratch<T> w = p.scratch(base);
        auto query = matrix_of<const T>(call.view(2), p.lead, index), key = matrix_of<const T>(call.view(3), p.lead, index);
        auto value = matrix_of<const T>(call.view(4), p.lead, index);
        Scores<T> scores(call, 5, p.lead, index, false);
        Sums<T> sums(w.first, p.f);
        sums.clear(m);
        std::fill_n(w.row_max, m, -std::numeric_limits<T>::infinity());
        std::fill_n(w.row_sum, m, T(0));
        query.data = query.at(i0, 0);
        int64_t step = p.block.most_columns, last = scores.causal ? std::min(p.s, i0 + m) : p.s;
        for (int64_t j = 0; j < last; j += step) {
            int64_t n = std::min(step, last - j);
            pack(w.packed, key.at(j, 0), p.e, n, key.column, key.row);
            products(w.weights, step, query, m, p.e, w.packed, n);
            for (int64_t i = 0; i < m; i++) {
                T* s = w.weights + i * step;
                int64_t seen = scores.finish(s, i0 + i, j, n).end;
                online_softmax(s, seen, w.row_max[i], w.row_sum[i], sums, i);
                std::fill(s + seen, s + std::max(seen, n), T(0));
            }
            sums.add({w.weights, step, 1}, m, n, {value.at(j, 0), value.row, value.column}, w.packed_other);
        }
        auto out = matrix_of<T>(call.view(0), p.lead, index), logsumexp = matrix_of<T>(call.view(1), p.lead, index);
        for (int64_t i = 0; i < m; i++) {
            bool nothing = w.row_max[i] == -std::numeric_limits<T>::infinity();
            sums.store_row(i, nothing ? T(0) : 1 / w.row_sum[i], out, i0 + i);
            *logsumexp.at(i0 + i, 0) = w.row_max[i] + std::log(w.row_sum[i]);
        }
    });
}

template <class T>
size_t forward_bytes(const Call& call) {
    ForwardPlan<T> p(call);
    return slots_bytes(p.batch, p.l, p.block, p.scratch(nullptr).bytes);
}

// The arguments of both gradients, from view `first` on.
template <class T>
struct Backward {
    Matrix<const T> grad_out, delta, logsumexp, query, key, value;

    Backward(const Call& call, int first, int lead, int64_t index)
        : grad_out(matrix_of<const T>(call.view(first), lead, index)),
          delta(matrix_of<const T>(call.view(first + 1), lead, index)),
          logsumexp(matrix_of<const T>(call.view(first + 2), lead, index)),
          query(matrix_of<const T>(call.view(first + 3), lead, index)),
          key(matrix_of<const T>(call.view(first + 4), lead, index)),
          value(matrix_of<const T>(call.view(first + 5), lead, index)) {}

    // What is subtracted from a score: a row that is all masked has weights 0, not exp(-Inf - -Inf).
    T shift(int64_t i) const {
        T at = *logsumexp.at(i, 0);
        return at == -std::numeric_limits<T>::infinity() ? std::numeric_limits<T>::infinity() : at;
    }
};

template <class T>
struct QueryPlan : Sizes {
    Block<T> block;
    explicit QueryPlan(const Call& call) : Sizes(call, 4), block(l, s) {}
    Scratch<T> scratch(void* base) const { return Scratch<T>(base, block, std::max(e, f), e, 0); }
};

template <class T>
void backward_query(const Call& call) {
    constexpr int width = Vec<T>::width;
    QueryPlan<T> p(call);
    for_blocks(call, p.batch, p.l, p.block, p.scratch(nullptr).bytes, [&](int64_t index, int64_t i0, int64_t m, void* base) {
        Scratch<T> w = p.scratch(base);
        Backward<T> a(call, 1, p.lead, index);
        Scores<T> scores(call, 7, p.lead, index, false);
        Sums<T> sums(w.first, p.e);
        sums.clear(m);
        Matrix<const T> query = a.query, grad_out = a.grad_out;
        query.data = query.at(i0, 0), grad_out.data = grad_out.at(i0, 0);
        int64_t step = p.block.most_columns, last = scores.causal ? std::min(p.s, i0 + m) : p.s;
        for (int64_t j = 0; j < last; j += step) {
            int64_t n = std::min(step, last - j);
            pack(w.packed, a.key.at(j, 0), p.e, n, a.key.column, a.key.row);
            products(w.weights, step, query, m, p.e, w.packed, n);
            pack(w.packed, a.value.at(j, 0), p.f, n, a.value.column, a.value.row);
            products(w.change, step, grad_out, m, p.f, w.packed, n);
            for (int64_t i = 0; i < m; i++) {
                T *s = w.weights + i * step, *d = w.change + i * step;
                int64_t seen = scores.finish(s, i0 + i, j, n).end;
                Vec<T> shift(a.shift(i0 + i)), delta(*a.delta.at(i0 + i, 0));
                for (int64_t c = 0; c < seen; c += width)
                    (exp(Vec<T>::load(s + c) - shift) * (Vec<T>::load(d + c) - delta)).store(d + c);
                std::fill(d + seen, d + std::max(seen, n), T(0));
            }
            sums.add({w.change, step, 1}, m, n, {a.key.at(j, 0), a.key.row, a.key.column}, w.packed_other);
        }
        auto grad_query = matrix_of<T>(call.view(0), p.lead, index);
        for (int64_t i = 0; i < m; i++) sums.store_row(i, scores.scale, grad_query, i0 + i);
    });
}

template <class T>
size_t query_bytes(const Call& call) {
    QueryPlan<T> p(call);
    return slots_bytes(p.batch, p.l, p.block, p.scratch(nullptr).bytes);
}

template <class T>
struct KeyValuePlan : Sizes {
    Block<T> block;
    explicit KeyValuePlan(const Call& call) : Sizes(call, 5), block(s, l) {}
    Scratch<T> scratch(void* base) const { return Scratch<T>(base, block, std::max(e, f), e, f); }
};

template <class T>
void backward_key_value(const Call& call) {
    constexpr int width = Vec<T>::width;
    KeyValuePlan<T> p(call);
    for_blocks(call, p.batch, p.s, p.block, p.scratch(nullptr).bytes, [&](int64_t index, int64_t j0, int64_t m, void* base) {
        Scratch<T> w = p.scratch(base);
        Backward<T> a(call, 2, p.lead, index);
        Scores<T> scores(call, 8, p.lead, index, true);
        Sums<T> to_key(w.first, p.e), to_value(w.second, p.f);
        to_key.clear(m), to_value.clear(m);
        Matrix<const T> key = a.key, value = a.value;
        key.data = key.at(j0, 0), value.data = value.at(j0, 0);
        int64_t step = p.block.most_columns;
        for (int64_t i = scores.causal ? j0 : 0; i < p.l; i += step) {
            int64_t n = std::min(step, p.l - i);
            pack(w.packed, a.query.at(i, 0), p.e, n, a.query.column, a.query.row);
            products(w.weights, step, key, m, p.e, w.packed, n);
            pack(w.packed, a.grad_out.at(i, 0), p.f, n, a.grad_out.column, a.grad_out.row);
            products(w.change, step, value, m, p.f, w.packed, n);
            T *shift = w.row_max, *delta = w.row_sum;
            for (int64_t c = 0; c < n; c++) shift[c] = a.shift(i + c), delta[c] = *a.delta.at(i + c, 0);
            for (int64_t j = 0; j < m; j++) {
                T *s = w.weights + j * step, *d = w.change + j * step;
                int64_t begin = scores.finish(s, j0 + j, i, n).begin;
                std::fill_n(s, begin, T(0)), std::fill_n(d, begin, T(0));
                for (int64_t c = begin; c < n; c += width) {
                    Vec<T> weight = exp(Vec<T>::load(s + c) - Vec<T>::load(shift + c));
                    weight.store(s + c);
                    (weight * (Vec<T>::load(d + c) - Vec<T>::load(delta + c))).store(d + c);
                }
            }
            to_value.add({w.weights, step, 1}, m, n, {a.grad_out.at(i, 0), a.grad_out.row, a.grad_out.column}, w.packed_other);
            to_key.add({w.change, step, 1}, m, n, {a.query.at(i, 0), a.query.row, a.query.column}, w.packed_other);
        }
        auto grad_key = matrix_of<T>(call.view(0), p.lead, index), grad_value = matrix_of<T>(call.view(1), p.lead, index);
        for (int64_t j = 0; j < m; j++) {
            to_key.store_row(j, scores.scale, grad_key, j0 + j);
            to_value.store_row(j, T(1), grad_value, j0 + j);
        }
    });
}

template <class T>
size_t key_value_bytes(const Call& call) {
    KeyValuePlan<T> p(call);
    return slots_bytes(p.batch, p.s, p.block, p.scratch(nullptr).bytes);
}

constexpr Kernel kernels[] = {
    {&kAttentionForward, "onepass", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>, 10, nullptr,
     bytes_by_float<forward_bytes<float>, forward_bytes<double>>},
    {&kAttentionBackwardQuery, "onepass", WW_ISA_NAME, kFloats, by_float<backward_query<float>, backward_query<double>>, 10,
     nullptr, bytes_by_float<query_bytes<float>, query_bytes<double>>},
    {&kAttentionBackwardKeyValue, "onepass", WW_ISA_NAME, kFloats, by_float<backward_key_value<float>, backward_key_value<double>>,
     10, nullptr, bytes_by_float<key_value_bytes<float>, key_value_bytes<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
