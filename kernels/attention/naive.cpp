// The first rung of the ladder: each row's maximum, then its sum, then the output, a score computed anew wherever it is needed.
// Bound by latency: one multiply-add at a time.
#include <cmath>

#include "engine/parallel.h"
#include "kernels/attention/scores.h"

namespace ww::WW_ISA {
namespace {

template <class T>
struct Scored {
    int lead;
    int64_t l, s, e, f;
    Matrix<const T> query, key, value, bias;
    Matrix<const bool> keep;
    T scale;
    bool causal;

    Scored(const Call& call, int first, int64_t index)
        : lead(call.view(first).ndim - 2),
          l(call.view(first).shape[lead]),
          s(call.view(first + 1).shape[lead]),
          e(call.view(first).shape[lead + 1]),
          f(call.view(first + 2).shape[lead + 1]),
          query(matrix_of<const T>(call.view(first), lead, index)),
          key(matrix_of<const T>(call.view(first + 1), lead, index)),
          value(matrix_of<const T>(call.view(first + 2), lead, index)),
          bias(matrix_of<const T>(call.view(first + 3), lead, index)),
          keep(matrix_of<const bool>(call.view(first + 4), lead, index)),
          scale(static_cast<T>(call.real(0))),
          causal(call.flag(1)) {}

    static T dot(Matrix<const T> a, int64_t i, Matrix<const T> b, int64_t j, int64_t n) {
        T sum = 0;
        for (int64_t x = 0; x < n; x++) sum += *a.at(i, x) * *b.at(j, x);
        return sum;
    }
    T score(int64_t i, int64_t j) const {
        if ((causal && j > i) || (keep.data && !*keep.at(i, j))) return -std::numeric_limits<T>::infinity();
        T product = scale * dot(query, i, key, j, e);
        return bias.data ? product + *bias.at(i, j) : product;
    }
};

// body(batch index, row) for the rows of view `of`.
template <class Body>
void for_rows(const Call& call, int query, int of, Body&& body) {
    int lead = call.view(query).ndim - 2;
    int64_t m = call.view(of).shape[lead];
    parallel_for(batch_of(call.view(query), lead) * m, 1, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) body(row / m, row % m);
    });
}

template <class T>
void forward(const Call& call) {
    for_rows(call, 2, 2, [&](int64_t index, int64_t i) {
        Scored<T> a(call, 2, index);
        auto out = matrix_of<T>(call.view(0), a.lead, index), logsumexp = matrix_of<T>(call.view(1), a.lead, index);
        T top = -std::numeric_limits<T>::infinity(), sum = 0;
        for (int64_t j = 0; j < a.s; j++) {
            T s = a.score(i, j);
            if (s > top || s != s) top = s;
        }
        bool nothing = top == -std::numeric_limits<T>::infinity();
        if (nothing) top = 0;
        for (int64_t j = 0; j < a.s; j++) sum += std::exp(a.score(i, j) - top);
        for (int64_t x = 0; x < a.f; x++) *out.at(i, x) = 0;
        for (int64_t j = 0; j < a.s; j++) {
            T p = nothing ? T(0) : std::exp(a.score(i, j) - top) / sum;
            for (int64_t x = 0; x < a.f; x++) *out.at(i, x) += p * *a.value.at(j, x);
        }
        *logsumexp.at(i, 0) = top + std::log(sum);
    });
}

template <class T>
struct Differentiated : Scored<T> {
    Matrix<const T> grad_out, delta, logsumexp;

    Differentiated(const Call& call, int first, int64_t index)
        : Scored<T>(call, first + 3, index),
          grad_out(matrix_of<const T>(call.view(first), this->lead, index)),
          delta(matrix_of<const T>(call.view(first + 1), this->lead, index)),
          logsumexp(matrix_of<const T>(call.view(first + 2), this->lead, index)) {}

    T weight(int64_t i, int64_t j) const {
        T shift = *logsumexp.at(i, 0);
        return shift == -std::numeric_limits<T>::infinity() ? T(0) : std::exp(this->score(i, j) - shift);
    }
    T change(int64_t i, int64_t j) const {
        return weight(i, j) * (this->dot(grad_out, i, this->value, j, this->f) - *delta.at(i, 0));
    }
};

template <class T>
void backward_query(const Call& call) {
    for_rows(call, 4, 4, [&](int64_t index, int64_t i) {
        Differentiated<T> a(call, 1, index);
        auto grad = matrix_of<T>(call.view(0), a.lead, index);
        for (int64_t x = 0; x < a.e; x++) *grad.at(i, x) = 0;
        for (int64_t j = 0; j < a.s; j++) {
            T change = a.scale * a.change(i, j);
            for (int64_t x = 0; x < a.e; x++) *grad.at(i, x) += change * *a.key.at(j, x);
        }
    });
}

template <class T>
void backward_key_value(const Call& call) {
    for_rows(call, 5, 6, [&](int64_t index, int64_t j) {
        Differentiated<T> a(call, 2, index);
        auto grad_key = matrix_of<T>(call.view(0), a.lead, index), grad_value = matrix_of<T>(call.view(1), a.lead, index);
        for (int64_t x = 0; x < a.e; x++) *grad_key.at(j, x) = 0;
        for (int64_t x = 0; x < a.f; x++) *grad_value.at(j, x) = 0;
        for (int64_t i = 0; i < a.l; i++) {
            T weight = a.weight(i, j), change = a.scale * a.change(i, j);
            for (int64_t x = 0; x < a.e; x++) *grad_key.at(j, x) += change * *a.query.at(i, x);
            for (int64_t x = 0; x < a.f; x++) *grad_value.at(j, x) += weight * *a.grad_out.at(i, x);
        }
    });
}

constexpr Kernel kernels[] = {
    {&kAttentionForward, "naive", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kAttentionBackwardQuery, "naive", WW_ISA_NAME, kFloats, by_float<backward_query<float>, backward_query<double>>},
    {&kAttentionBackwardKeyValue, "naive", WW_ISA_NAME, kFloats, by_float<backward_key_value<float>, backward_key_value<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
