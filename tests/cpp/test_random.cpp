// Philox against its authors' vectors; the distributions against their moments, their edges and frozen values.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/random.h"
#include "tests/cpp/check.h"

using namespace ww;

namespace {

bool equals(const Philox& block, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    return block.word[0] == a && block.word[1] == b && block.word[2] == c && block.word[3] == d;
}

void known_answers() {  // Random123 1.14, tests/kat_vectors, "philox4x32 10"
    CHECK(equals(philox4x32({{0, 0, 0, 0}}, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
    CHECK(equals(philox4x32({{~0u, ~0u, ~0u, ~0u}}, ~uint64_t{0}), 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
    CHECK(equals(philox4x32({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0x299f31d0a4093822), 0xd16cfe09, 0x94fdcceb,
                 0x5001e420, 0x24126ea1));
    CHECK(equals(philox_block(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88), 0xd16cfe09, 0x94fdcceb, 0x5001e420,
                 0x24126ea1));
}

void elements_are_the_blocks_in_order() {
    const uint64_t seed = 12345, offset = uint64_t{7} << 40;
    bool same = true;
    for (uint64_t block = 0; block < 50; block++) {
        const Philox words = philox_block(seed, offset, block);
        float f[4];
        double d[2];
        normal_floats(words.word[0], words.word[1], &f[0], &f[1]);
        normal_floats(words.word[2], words.word[3], &f[2], &f[3]);
        normal_doubles(words, &d[0], &d[1]);
        for (uint64_t k = 0; k < 4; k++) {
            same &= random_word(seed, offset, block * 4 + k) == words.word[k];
            same &= random_float(seed, offset, block * 4 + k) == uniform_float(words.word[k]);
            same &= random_normal_float(seed, offset, block * 4 + k) == f[k];
        }
        for (uint64_t k = 0; k < 2; k++) {
            same &= random_double(seed, offset, block * 2 + k) == uniform_double(words.word[2 * k], words.word[2 * k + 1]);
            same &= random_normal_double(seed, offset, block * 2 + k) == d[k];
        }
        same &= random_below(seed, offset, block, 1000) == integer_below(words, 1000);
    }
    CHECK(same);
    CHECK(random_word(1, 0, 0) != random_word(2, 0, 0));
    CHECK(random_word(1, 0, 0) != random_word(1, 1, 0));
}

void edges() {
    CHECK(uniform_float(0) == 0 && uniform_float(~0u) == 1 - 0x1p-24f && uniform_float(0x80000000) == 0.5f);
    CHECK(uniform_double(0, 0) == 0 && uniform_double(~0u, ~0u) == 1 - 0x1p-53);
    const Philox least = {{0, 0, 0, 0}}, most = {{~0u, ~0u, ~0u, ~0u}};
    for (uint64_t n : {uint64_t{1}, uint64_t{2}, uint64_t{10}, uint64_t{1} << 32, ~uint64_t{0}}) {
        CHECK(integer_below(least, n) == 0);
        CHECK(integer_below(most, n) == n - 1);
    }
    CHECK(integer_below({{0, 0, 0, 0x80000000}}, 10) == 5);  // half of 2^128 is the first word of value 5
    CHECK(integer_below({{~0u, ~0u, ~0u, 0x7fffffff}}, 10) == 4);
    CHECK(integer_below({{~0u, ~0u, 0x99999999, 0x19999999}}, 10) == 1);  // by the carry from the low half
    CHECK(integer_below({{0, 0, 0x99999999, 0x19999999}}, 10) == 0);
    for (uint32_t radius : {0u, ~0u})
        for (uint32_t angle : {0u, 0x40000000u, 0x80000000u, 0xc0000000u, ~0u}) {
            float a, b;
            normal_floats(radius, angle, &a, &b);
            CHECK(std::isfinite(a) && std::isfinite(b) && std::fabs(a) < 7 && std::fabs(b) < 7);
        }
    double a, b;
    normal_doubles(least, &a, &b);
    CHECK(std::isfinite(a) && b == 0 && a > 8.5 && a < 8.7);
    normal_doubles(most, &a, &b);
    CHECK(std::isfinite(a) && std::isfinite(b));
}

void moments() {
    const uint64_t n = 400000;
    double sum[4] = {}, square[4] = {}, fourth[2] = {};
    std::vector<int> bins(7);
    for (uint64_t i = 0; i < n; i++) {
        const double x[] = {random_float(3, 1, i), random_double(3, 2, i), random_normal_float(3, 3, i),
                            random_normal_double(3, 4, i)};
        for (int k = 0; k < 4; k++) sum[k] += x[k], square[k] += x[k] * x[k];
        for (int k = 0; k < 2; k++) fourth[k] += std::pow(x[k + 2], 4);
        bins[static_cast<size_t>(random_below(3, 5, i, 7))]++;
    }
    const double count = static_cast<double>(n);
    for (int k = 0; k < 2; k++) {  // five standard errors
        CHECK(std::fabs(sum[k] / count - 0.5) < 5 * 0.289 / std::sqrt(count));
        CHECK(std::fabs(square[k] / count - 1 / 3.0) < 5 * 0.299 / std::sqrt(count));
        CHECK(std::fabs(sum[k + 2] / count) < 5 / std::sqrt(count));
        CHECK(std::fabs(square[k + 2] / count - 1) < 5 * 1.415 / std::sqrt(count));
        CHECK(std::fabs(fourth[k] / count - 3) < 5 * 9.8 / std::sqrt(count));
    }
    double chi = 0;
    for (int bin : bins) chi += std::pow(bin - count / 7, 2) / (count / 7);
    CHECK(chi < 30);  // six degrees of freedom: p = 4e-5
}

void functions_match_libm() {
    double log_error = 0, turn_error = 0;
    for (uint64_t i = 0; i < 200000; i++) {
        const double u = random_double(9, 0, i), x = std::ldexp(u + 0x1p-54, -static_cast<int>(i % 40));
        log_error = std::max(log_error, std::fabs(portable_log(x) - std::log(x)) / std::fabs(std::log(x)));
        double c, s;
        portable_cos_sin(u, &c, &s);
        const long double angle = 6.283185307179586476925L * static_cast<long double>(u);
        turn_error = std::max(
            {turn_error, std::fabs(static_cast<double>(c - std::cos(angle))), std::fabs(static_cast<double>(s - std::sin(angle)))});
    }
    CHECK(log_error < 0x1p-51);
    CHECK(turn_error < 0x1p-52);
    CHECK(portable_log(1) == 0);
}

// Frozen when written: users' seeds must go on meaning the same numbers.
void frozen_values() {
    auto bits32 = [](float x) {
        uint32_t b;
        memcpy(&b, &x, sizeof b);
        return b;
    };
    auto bits64 = [](double x) {
        uint64_t b;
        memcpy(&b, &x, sizeof b);
        return b;
    };
    CHECK(bits32(random_float(42, 1, 5)) == 0x3f7dd21d);
    CHECK(bits64(random_double(42, 1, 5)) == 0x3fd5baba6f1c26bc);
    CHECK(random_below(42, 1, 5, 1000000) == 778014);
    CHECK(bits32(random_normal_float(42, 1, 4)) == 0x40015d4b);
    CHECK(bits32(random_normal_float(42, 1, 5)) == 0xbddda09e);
    CHECK(bits64(random_normal_double(42, 1, 4)) == 0xbff1797c3722ad59);
    CHECK(bits64(random_normal_double(42, 1, 5)) == 0x3ffbb81aa98145e3);
}

}  // namespace

int main() {
    known_answers();
    elements_are_the_blocks_in_order();
    edges();
    moments();
    functions_match_libm();
    frozen_values();
    return check::summary("test_random");
}
