// How a simulated launch is scheduled, and on which device. No single schedule finds every bug; a sweep over all of them is what
// the tests run.
//
//   order         which of the threads that can run goes on: `lockstep` takes turns at each barrier, `forward` and `reverse` let
//   one
//                 thread run ahead until it must wait, lowest or highest number first, `random` draws one each time
//   asynchrony    when cp.async and TMA copies land: as `late` as the waits allow, at once (`eager`), or at `random` moments.
//                 wgmma reads its operands at the wait, or, under `random`, at any moment before it
//   seed          of all that is random; a block's draws depend on the seed and its index, never on the OS thread that runs it
//   arch          the device's compute capability, times ten: its limits, and whether it has TMA, mbarrier waits and wgmma
//   timeout       seconds of CPU time that a block (or the grid of a cooperative launch) may take: an endless loop ends with an
//   error
//
// The order also says at which side an array touches the pages that nobody may: under `lockstep` and `forward` it ends there, to
// the byte, under `reverse` it begins there, under `random` the seed decides.
#pragma once

#include <cstdint>

namespace ww::sim {

enum class Order : uint8_t { lockstep, forward, reverse, random };
enum class Asynchrony : uint8_t { late, eager, random };

struct Options {
    Order order = Order::lockstep;
    Asynchrony asynchrony = Asynchrony::late;
    uint64_t seed = 0;
    int arch = 80;  // the oldest that kernels are compiled for
    double timeout = 300;
};

// Of launches from this OS thread. At first WHITEWOLF_SIM_ORDER, _ASYNC, _SEED, _ARCH and _TIMEOUT; DeviceError where one of them
// is none of what is said above.
Options& options();

inline bool ends_at_guard(const Options& o) { return o.order == Order::random ? o.seed % 2 == 0 : o.order != Order::reverse; }

// The enumerator of that name; DeviceError, which names `setting`, for any other text.
Order order_named(const char* text, const char* setting);
Asynchrony asynchrony_named(const char* text, const char* setting);
const char* name_of(Order order);
const char* name_of(Asynchrony asynchrony);

// DeviceError, which names `setting`, for an architecture that is not simulated, and for a time that is not above 0.
int check_arch(int64_t arch, const char* setting, const char* text = nullptr);
double check_timeout(double seconds, const char* setting, const char* text = nullptr);  // `text`: what was given

}  // namespace ww::sim
