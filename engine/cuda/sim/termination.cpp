#include "engine/cuda/sim/termination.h"

#include <cxxabi.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <string>
#include <typeinfo>

#include "engine/cuda/sim/block.h"
#include "engine/cuda/sim/code.h"

namespace ww::sim {
namespace {

std::atomic<std::terminate_handler> before{nullptr};

// Ends the thread, and with it the launch, as a fault does: the words are made on the OS thread's own stack.
[[noreturn]] void end_thread(const void* call, const std::string& what) {
    current->inside++;
    machine->fault = {0, nullptr, call, current};
    machine->detail = what;
    machine->failed = true;
    switch_to_main();
    __builtin_unreachable();
}

void end_process(const void* return_address, const std::string& what) {
    if (current && machine) end_thread(static_cast<const char*>(return_address) - 1, what + " in a kernel");
}

// What the exception says of itself that is being handled; "" where there is none.
std::string words_of_current_exception() {
    const std::type_info* type = abi::__cxa_current_exception_type();
    if (!type) return "";
    char* name = abi::__cxa_demangle(type->name(), nullptr, nullptr, nullptr);
    std::string text = name ? name : type->name();
    std::free(name);
    try {
        throw;
    } catch (const std::exception& error) {
        text += ": " + std::string(error.what());
    } catch (...) {
    }
    return text;
}

// On the stack of the thread that threw, which is still as it was.
void on_terminate() {
    if (!current || !machine) {
        if (const std::terminate_handler handler = before) handler();
        std::abort();
    }
    const void* call = caller_in_kernel();
    current->inside++;  // no timer ends the thread in here
    const std::string words = words_of_current_exception();
    if (!words.empty()) abi::__cxa_end_catch();  // it is told, and is no longer this OS thread's
    current->inside--;
    end_thread(call, words.empty() ? "std::terminate in a kernel" : "a C++ exception left the kernel: " + words);
}

}  // namespace

void catch_termination() {
    const std::terminate_handler now = std::get_terminate();
    if (now == on_terminate) return;
    before = now;
    std::set_terminate(on_terminate);
}

}  // namespace ww::sim

extern "C" {
void ww_sim_exit(int status) {
    ww::sim::end_process(__builtin_return_address(0), "exit(" + std::to_string(status) + ")");
    std::exit(status);
}
void ww_sim_exit_now(int status) {
    ww::sim::end_process(__builtin_return_address(0), "_Exit(" + std::to_string(status) + ")");
    std::_Exit(status);
}
void ww_sim_quick_exit(int status) {
    ww::sim::end_process(__builtin_return_address(0), "quick_exit(" + std::to_string(status) + ")");
    std::quick_exit(status);
}
void ww_sim_abort() {
    ww::sim::end_process(__builtin_return_address(0), "abort()");
    std::abort();
}
}
