// Division by a number that all threads share, as a multiplication: integer division is a routine on a GPU, and implicit GEMM
// divides for each element that it reads (T. Granlund and P. L. Montgomery, "Division by Invariant Integers using Multiplication",
// PLDI 1994, section 4).
#pragma once

#include <cstdint>

#include "engine/cuda/device.cuh"

namespace ww::cuda {

// For dividends in [0, 2^31) and divisors in [1, 2^31].
class Divider {
  public:
    Divider() : Divider(1) {}
    explicit Divider(int64_t divisor) : divisor_(static_cast<uint32_t>(divisor)) {
        while ((uint64_t{1} << shift_) < divisor_) shift_++;
        multiplier_ = static_cast<uint32_t>((uint64_t{1} << 32) * ((uint64_t{1} << shift_) - divisor_) / divisor_ + 1);
    }

    WW_HOST_DEVICE int divide(int n, int& remainder) const {
        const auto dividend = static_cast<uint32_t>(n);
        const uint32_t high = static_cast<uint32_t>(uint64_t{dividend} * multiplier_ >> 32), quotient = (high + dividend) >> shift_;
        remainder = static_cast<int>(dividend - quotient * divisor_);
        return static_cast<int>(quotient);
    }

  private:
    uint32_t divisor_, multiplier_, shift_ = 0;
};

}  // namespace ww::cuda
