// What TMA knows of a tensor in global memory; made on the host, passed to the kernel as a `const WW_GRID_CONSTANT TensorMap`.
#pragma once

#include "engine/cuda/device.cuh"
#include "engine/error.h"

namespace ww::cuda {

enum class Element { bfloat16, half, float32 };

// Of a matrix [rows, columns], rows `row_bytes` apart, copied in boxes of [box_rows, box_columns]; parts of a box outside of the
// matrix are filled with zeros. With `swizzle`, rows of a box are 128 bytes and stand as wgmma reads them.
inline TensorMap make_tensor_map(const void* base, Element element, uint64_t rows, uint64_t columns, uint64_t row_bytes,
                                 uint32_t box_rows, uint32_t box_columns, bool swizzle) {
#if defined(__CUDACC__)
    using Encode =
        CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*, const cuuint32_t*,
                     const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
    static const Encode encode = [] {
        void* found = nullptr;
        cudaDriverEntryPointQueryResult state;
        check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &state),
              "cuTensorMapEncodeTiled");
        return reinterpret_cast<Encode>(found);
    }();
    constexpr CUtensorMapDataType types[] = {CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
                                             CU_TENSOR_MAP_DATA_TYPE_FLOAT32};
    TensorMap map;
    cuuint64_t shape[] = {columns, rows}, strides[] = {row_bytes};
    cuuint32_t box[] = {box_columns, box_rows}, steps[] = {1, 1};
    CUresult status = encode(&map, types[static_cast<int>(element)], 2, const_cast<void*>(base), shape, strides, box, steps,
                             CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE,
                             CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (status != CUDA_SUCCESS) fail<DeviceError>("cuda: cuTensorMapEncodeTiled: error %d", static_cast<int>(status));
    return map;
#else
    constexpr uint32_t sizes[] = {2, 2, 4};
    return {static_cast<const char*>(base),   {columns, rows}, row_bytes, {box_columns, box_rows},
            sizes[static_cast<int>(element)], swizzle};
#endif
}

}  // namespace ww::cuda
