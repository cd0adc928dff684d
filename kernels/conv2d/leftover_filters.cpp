// The forward convolution whose filters leave one to three over when vectors of them are full: 50 are three vectors of 16 and two.
// As lanes of a fourth vector, those would take a quarter of the time. Here implicit_gemm gets the filters that fill vectors, and
// pixel_lanes, whose rows are filters, gets the rest, with a copy of the picture in planes. LeNet c2 takes 0.82 of the time.
#include "kernels/common/brgemm.h"
#include "kernels/conv2d/parts.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kMostLeftOver = 3;
constexpr int64_t kTerms = 128;  // of a sum, from which on the copy and the second pass over the output are little beside it

// A call for filters [first, last).
struct Part {
    View views[4];
    int places[5] = {0, 1, 2, 3, 4};
    Call call;

    Part(const Call& whole, int64_t first, int64_t last) : call(whole) {
        for (int i = 0; i < 4; i++) views[i] = whole.view(i);
        auto cut = [&](View& v, int dimension) {
            v.data = static_cast<char*>(v.data) + first * v.strides[dimension] * item_size(v.dtype);
            v.shape[dimension] = last - first;
        };
        cut(views[0], 1), cut(views[2], 0);
        if (whole.has(3)) cut(views[3], 0);
        call.views = views, call.first = places;
    }
    Part(const Part&) = delete;
};

template <class T>
int64_t fitting(const Call& call) {
    const int64_t filters = call.view(0).shape[1];
    return filters - filters % Tile<T>::lanes;
}

template <class T>
void forward(const Call& call) {
    const int64_t filters = call.view(0).shape[1], cut = fitting<T>(call);
    implicit_gemm_forward<T>(Part(call, 0, cut).call);
    pixel_lanes_forward<T>(Part(call, cut, filters).call);
}

template <class T>
size_t workspace(const Call& call) {
    const int64_t filters = call.view(0).shape[1], cut = fitting<T>(call);
    return std::max(implicit_gemm_forward_bytes<T>(Part(call, 0, cut).call),
                    pixel_lanes_forward_bytes<T>(Part(call, cut, filters).call));
}

bool accepts(const Call& call) {
    const Conv2d g = Conv2d::forward(call);
    const int64_t lanes = call.dtype == DType::float32 ? Tile<float>::lanes : Tile<double>::lanes, left = g.K % lanes;
    if (g.groups != 1 || call.integer(4) > 1 || !pixel_lanes_waste_little(g)) return false;
    return lanes > kMostLeftOver && g.K > lanes && left >= 1 && left <= kMostLeftOver && g.C * g.h.filter * g.w.filter >= kTerms;
}

constexpr Kernel kernels[] = {{&kConv2dForward, "leftover_filters", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>,
                               12, accepts, bytes_by_float<workspace<float>, workspace<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
