#include "engine/cuda/sim/options.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "engine/error.h"

namespace ww::sim {
namespace {

constexpr const char* kOrders[] = {"lockstep", "forward", "reverse", "random"};
constexpr const char* kAsynchronies[] = {"late", "eager", "random"};

Options from_environment() {
    Options found;
    auto text = [](const char* name) {
        const char* value = std::getenv(name);
        return value && *value ? value : nullptr;
    };
    if (const char* order = text("WHITEWOLF_SIM_ORDER")) found.order = order_named(order, "WHITEWOLF_SIM_ORDER");
    if (const char* when = text("WHITEWOLF_SIM_ASYNC")) found.asynchrony = asynchrony_named(when, "WHITEWOLF_SIM_ASYNC");
    if (const char* seed = text("WHITEWOLF_SIM_SEED")) {
        char* end;
        errno = 0;
        found.seed = std::strtoull(seed, &end, 10);
        if (*end || errno || *seed == '-') fail<DeviceError>("WHITEWOLF_SIM_SEED: expected an integer >= 0, got '%s'", seed);
    }
    return found;
}

}  // namespace

Order order_named(const char* text, const char* setting) {
    for (int i = 0; i < 4; i++)
        if (!std::strcmp(text, kOrders[i])) return static_cast<Order>(i);
    fail<DeviceError>("%s: expected lockstep, forward, reverse or random, got '%s'", setting, text);
}

Asynchrony asynchrony_named(const char* text, const char* setting) {
    for (int i = 0; i < 3; i++)
        if (!std::strcmp(text, kAsynchronies[i])) return static_cast<Asynchrony>(i);
    fail<DeviceError>("%s: expected late, eager or random, got '%s'", setting, text);
}

const char* name_of(Order order) { return kOrders[static_cast<int>(order)]; }
const char* name_of(Asynchrony asynchrony) { return kAsynchronies[static_cast<int>(asynchrony)]; }

Options& options() {
    thread_local Options own = from_environment();
    return own;
}

}  // namespace ww::sim
