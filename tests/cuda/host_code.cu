// What only kernels may do, in host code, and what only host code may do, in a kernel: errors with their line, which nvcc gives
// when it compiles.
#include "tests/cuda/refused.cuh"

namespace {

using namespace ww::cuda;

const std::string kIndexLine = LINE_BELOW(1);
__global__ void index_of_thread(int* out) { *out = static_cast<int>(threadIdx.x); }
const std::string kLaunchLine = LINE_BELOW(1);
__global__ void launch_another(int* out) { launch<index_of_thread>({1, 32}, out); }
__global__ void nothing() {}

void in_host_code() {
    int out = 0;
    auto refused = [](const char* name, const std::string& line, auto&& call) {
        harness::must_hold(name, check::text_of<ww::DeviceError>(call), {name, line, "expected a kernel to do this, got host code"},
                           "");
    };
    refused("threadIdx", kIndexLine, [&] { index_of_thread(&out); });
    refused("blockIdx", LINE_BELOW(0), [&] { out = static_cast<int>(blockIdx.x); });
    refused("blockDim", LINE_BELOW(0), [&] { out = static_cast<int>(blockDim.x); });
    refused("gridDim", LINE_BELOW(0), [&] { out = static_cast<int>(gridDim.x); });
    refused("__syncthreads", LINE_BELOW(0), [] { __syncthreads(); });
    refused("__syncwarp", LINE_BELOW(0), [] { __syncwarp(); });
    refused("__shfl_sync", LINE_BELOW(0), [&] { out = __shfl_sync(kFullMask, out, 0); });
    refused("__ballot_sync", LINE_BELOW(0), [&] { out = static_cast<int>(__ballot_sync(kFullMask, out)); });
    refused("SharedMemory::take", LINE_BELOW(0), [] { SharedMemory().take<float, 4>(4); });
    launch<nothing>({1, 32});  // and launches are as they were
}

void in_kernels() {
    harness::Array<int> out(1);
    harness::refused("launch", {"kernel launch_another", kLaunchLine, "launch: expected host code to launch kernels, got a kernel"},
                     [&] { launch<launch_another>({1, 32}, out.data()); });
}

}  // namespace

int main() {
    in_host_code();
    in_kernels();
    return check::summary("host_code");
}
