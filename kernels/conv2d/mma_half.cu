// float16: mma.cuh.
#include "kernels/conv2d/mma.cuh"

namespace ww::cuda {

template void mma_forward<half>(const Call&);
template void mma_backward_x<half>(const Call&);
template void mma_backward_w<half>(const Call&);

}  // namespace ww::cuda
