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

// Ends the thread, and with it the launch, as a fault does: the words around machine->detail, which alone outlives this stack, are
// made on the OS thread's own.
[[noreturn]] void end_thread(const void* call) {
    machine->fault = {0, nullptr, call, current};
    machine->failed = true;
    switch_to_main();
    __builtin_unreachable();
}

void end_process(const void* return_address, const char* function, int status) {
    if (!current || !machine) return;
    current->inside++;  // no timer ends the thread in here
    machine->detail = std::string(function) + "(" + (status < 0 ? "" : std::to_string(status)) + ") in a kernel";
    end_thread(static_cast<const char*>(return_address) - 1);
}

// Adds what the exception that is being handled says of itself. False where there is none.
bool add_current_exception(std::string& text) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    if (!type) return false;
    char* name = abi::__cxa_demangle(type->name(), nullptr, nullptr, nullptr);
    text += name ? name : type->name();
    std::free(name);
    try {
        throw;
    } catch (const std::exception& error) {
        text += std::string(": ") + error.what();
    } catch (...) {
    }
    return true;
}

// On the stack of the thread that threw, which is still as it was.
void on_terminate() {
    if (!current || !machine) {
        if (const std::terminate_handler handler = before) handler();
        std::abort();
    }
    const void* call = caller_in_kernel();
    current->inside++;
    machine->detail = "a C++ exception left the kernel: ";
    if (add_current_exception(machine->detail)) abi::__cxa_end_catch();  // it is told, and is no longer this OS thread's
    else machine->detail = "std::terminate in a kernel";
    end_thread(call);
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
    ww::sim::end_process(__builtin_return_address(0), "exit", status & 0xff);
    std::exit(status);
}
void ww_sim_exit_now(int status) {
    ww::sim::end_process(__builtin_return_address(0), "_Exit", status & 0xff);
    std::_Exit(status);
}
void ww_sim_quick_exit(int status) {
    ww::sim::end_process(__builtin_return_address(0), "quick_exit", status & 0xff);
    std::quick_exit(status);
}
void ww_sim_abort() {
    ww::sim::end_process(__builtin_return_address(0), "abort", -1);
    std::abort();
}
}
