// The batch-reduce GEMM microkernel (brgemm.h) going on where another call left off: for those who read B in an order of their own.
#pragma once

#include "kernels/common/brgemm.h"

namespace ww::WW_ISA {

// As brgemm, but each element's chain of multiply-adds goes on from what `tile` holds: calls over parts of k give the bits of one
// call over all of it.
template <class T>
void brgemm_on(const Blocks<T>& blocks, int rows, int columns, bool masked, T* tile);

}  // namespace ww::WW_ISA
