// How a simulated launch is scheduled. No single schedule finds every bug; a sweep over all of them is what the tests run.
//
//   order         which of the threads that can run goes on: `lockstep` takes turns at each barrier, `forward` and `reverse` let
//   one
//                 thread run ahead until it must wait, lowest or highest number first, `random` draws one each time
//   asynchrony    when cp.async and TMA copies land: as `late` as the waits allow, at once (`eager`), or at `random` moments.
//                 wgmma reads its operands at the wait, or, under `random`, at any moment before it
//   seed          of all that is random; a block's draws depend on the seed and its index, never on the OS thread that runs it
#pragma once

#include <cstdint>

namespace ww::sim {

enum class Order : uint8_t { lockstep, forward, reverse, random };
enum class Asynchrony : uint8_t { late, eager, random };

struct Options {
    Order order = Order::lockstep;
    Asynchrony asynchrony = Asynchrony::late;
    uint64_t seed = 0;
};

// Of launches from this OS thread. At first WHITEWOLF_SIM_ORDER, WHITEWOLF_SIM_ASYNC and WHITEWOLF_SIM_SEED; DeviceError where one
// of them is none of the words above.
Options& options();

// The enumerator of that name; DeviceError, which names `setting`, for any other text.
Order order_named(const char* text, const char* setting);
Asynchrony asynchrony_named(const char* text, const char* setting);
const char* name_of(Order order);
const char* name_of(Asynchrony asynchrony);

}  // namespace ww::sim
