// philox_block of engine/random.h for many blocks at once, with the same bits.
//
// A word lies in the low half of a 64-bit lane, because the widening multiply of x86 (pmuludq) reads low halves only: what is left
// over in a high half does no harm, and a round of one vector of blocks takes eight instructions. Four vectors hide the latency.
#pragma once

#include <algorithm>

#include "engine/simd.h"

namespace ww::WW_ISA {
namespace {

struct PhiloxVector {
    using Lanes = Vec<uint64_t>;
    static constexpr int width = Lanes::width, unroll = 4, blocks = width * unroll;

    static WW_INLINE Lanes multiply(Lanes a, uint32_t m) {
        using Raw = Lanes::Raw;
#if defined(__AVX512F__)
        return Lanes(reinterpret_cast<Raw>(_mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(a.v), _mm512_set1_epi64(m))));
#elif defined(__AVX2__)
        return Lanes(reinterpret_cast<Raw>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a.v), _mm256_set1_epi64x(m))));
#elif defined(__x86_64__)
        return Lanes(reinterpret_cast<Raw>(_mm_mul_epu32(reinterpret_cast<__m128i>(a.v), _mm_set1_epi64x(m))));
#else
        return Lanes(Raw((a.v & uint64_t{0xFFFFFFFF}) * uint64_t{m}));
#endif
    }

    // `blocks` blocks from number `first` on, 4 words each.
    static WW_INLINE void generate(uint64_t seed, uint64_t offset, uint64_t first, uint32_t* words) {
        using Raw = Lanes::Raw;
        Raw c0[unroll], c1[unroll], c2[unroll], c3[unroll];
        for (int u = 0; u < unroll; u++) {
            c0[u] = Lanes::iota().v + (first + static_cast<uint64_t>(u * width));
            c1[u] = c0[u] >> 32;
            c2[u] = Raw{} + offset;
            c3[u] = Raw{} + (offset >> 32);
        }
        auto k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
        for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
            for (int u = 0; u < unroll; u++) {
                Raw a = multiply(Lanes(c0[u]), 0xD2511F53u).v, b = multiply(Lanes(c2[u]), 0xCD9E8D57u).v;
                c0[u] = (b >> 32) ^ c1[u] ^ uint64_t { k0 };
                c1[u] = b;
                c2[u] = (a >> 32) ^ c3[u] ^ uint64_t { k1 };
                c3[u] = a;
            }
        constexpr uint64_t low = 0xFFFFFFFF;
        for (int u = 0; u < unroll; u++) {
            uint64_t front[width], back[width], both[2 * width];  // words 0 and 1 of each block, words 2 and 3
            Lanes(Raw((c0[u] & low) | (c1[u] << 32))).store(front);
            Lanes(Raw((c2[u] & low) | (c3[u] << 32))).store(back);
            for (int i = 0; i < width; i++) both[2 * i] = front[i], both[2 * i + 1] = back[i];
            std::memcpy(words + u * 4 * width, both, sizeof both);  // little-endian: the low word first
        }
    }
};

// n words, a multiple of 4, from block `first` on.
inline void philox_words(uint64_t seed, uint64_t offset, uint64_t first, uint32_t* words, int n) {
    constexpr int step = 4 * PhiloxVector::blocks;
    int i = 0;
    for (; i + step <= n; i += step) PhiloxVector::generate(seed, offset, first + static_cast<uint64_t>(i / 4), words + i);
    if (i < n) {
        uint32_t rest[step];
        PhiloxVector::generate(seed, offset, first + static_cast<uint64_t>(i / 4), rest);
        std::memcpy(words + i, rest, sizeof(uint32_t) * static_cast<size_t>(n - i));
    }
}

}  // namespace
}  // namespace ww::WW_ISA
