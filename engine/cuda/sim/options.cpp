#include "engine/cuda/sim/options.h"

#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "engine/error.h"

namespace ww::sim {
namespace {

constexpr const char* kOrders[] = {"lockstep", "forward", "reverse", "random"};
constexpr const char* kAsynchronies[] = {"late", "eager", "random"};

// Digits alone: strtoull and strtoll would take blanks and signs as well.
bool is_number(const char* text) { return *text && text[std::strspn(text, "0123456789")] == 0; }

Options from_environment() {
    Options found;
    auto text = [](const char* name) {
        const char* value = std::getenv(name);
        return value && *value ? value : nullptr;
    };
    if (const char* order = text("WHITEWOLF_SIM_ORDER")) found.order = order_named(order, "WHITEWOLF_SIM_ORDER");
    if (const char* when = text("WHITEWOLF_SIM_ASYNC")) found.asynchrony = asynchrony_named(when, "WHITEWOLF_SIM_ASYNC");
    if (const char* seed = text("WHITEWOLF_SIM_SEED")) {
        errno = 0;
        found.seed = std::strtoull(seed, nullptr, 10);
        if (!is_number(seed) || errno) fail<DeviceError>("WHITEWOLF_SIM_SEED: expected an integer in [0, 2^64), got '%s'", seed);
    }
    if (const char* arch = text("WHITEWOLF_SIM_ARCH")) {
        found.arch = check_arch(is_number(arch) ? std::strtoll(arch, nullptr, 10) : -1, "WHITEWOLF_SIM_ARCH", arch);
    }
    if (const char* timeout = text("WHITEWOLF_SIM_TIMEOUT")) {
        char* end;
        double seconds = std::strtod(timeout, &end);
        found.timeout = check_timeout(*end || std::isspace(static_cast<unsigned char>(*timeout)) ? -1 : seconds,
                                      "WHITEWOLF_SIM_TIMEOUT", timeout);
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

int check_arch(int64_t arch, const char* setting, const char* text) {
    if (arch != 80 && arch != 86 && arch != 89 && arch != 90)
        fail<DeviceError>("%s: expected 80, 86, 89 or 90, got %s", setting,
                          text ? ("'" + std::string(text) + "'").c_str() : std::to_string(arch).c_str());
    return static_cast<int>(arch);
}

double check_timeout(double seconds, const char* setting, const char* text) {
    if (!(seconds > 0) && text) fail<DeviceError>("%s: expected seconds > 0, got '%s'", setting, text);
    if (!(seconds > 0)) fail<DeviceError>("%s: expected seconds > 0, got %g", setting, seconds);
    return seconds;
}

Options& options() {
    thread_local Options own = from_environment();
    return own;
}

}  // namespace ww::sim
