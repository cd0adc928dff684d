#include "engine/cuda/sim/code.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <link.h>
#include <unwind.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>

#include "engine/cuda/sim/block.h"

namespace ww::sim {
namespace {

// The module of a fault's instruction, and how far into it.
bool module_of(const void* instruction, Dl_info& module) { return instruction && dladdr(instruction, &module) && module.dli_fname; }

struct Walk {
    bool left;  // the simulator's own frames at the top: a handler, or what was called instead of the library's function
    const void* found;
};

_Unwind_Reason_Code look(_Unwind_Context* frame, void* argument) {
    auto& walk = *static_cast<Walk*>(argument);
    int exact = 0;
    const auto at = static_cast<uintptr_t>(_Unwind_GetIPInfo(frame, &exact));
    if (!in_kernel(reinterpret_cast<const void*>(at))) {
        walk.left = true;
        return _URC_NO_REASON;
    }
    if (!walk.left) return _URC_NO_REASON;
    walk.found = reinterpret_cast<const void*>(at - (exact ? 0 : 1));  // a return address is behind its call
    return _URC_NORMAL_STOP;
}

std::string find_line(const void* instruction) {
    Dl_info module;
    if (!module_of(instruction, module) || std::strchr(module.dli_fname, '\'')) return "";
    char command[1024], line[1024];
    snprintf(command, sizeof command, "addr2line -i -e '%s' 0x%zx 2>/dev/null", module.dli_fname,
             static_cast<size_t>(static_cast<const char*>(instruction) - static_cast<char*>(module.dli_fbase)));
    FILE* pipe = popen(command, "r");
    if (!pipe) return "";
    std::string text;
    while (fgets(line, sizeof line, pipe) && line[0] != '?') {
        line[std::strcspn(line, "\n ")] = 0;
        const std::string path = std::filesystem::path(line).lexically_normal();  // "build/../kernels/..." and "own/../shared/..."
        text += (text.empty() ? "" : ", inlined at ") + path;
        if (path.find(".cu:") != std::string::npos) break;
    }
    pclose(pipe);
    const bool known = text.size() > 2 && text.compare(text.size() - 2, 2, ":0") != 0;
    const size_t ours = text.find("engine/cuda/sim/"), source = text.find(".cpp:");
    return known && (ours == std::string::npos || source < ours || source == std::string::npos) ? text : "";  // not of ours
}

}  // namespace

Code code_of(const void* instruction) {
    thread_local Code last;
    if (last.holds(instruction)) return last;
    struct Search {
        uintptr_t at;
        Code found;
    } search{reinterpret_cast<uintptr_t>(instruction), {}};
    dl_iterate_phdr(
        [](dl_phdr_info* module, size_t, void* argument) {
            auto& wanted = *static_cast<Search*>(argument);
            for (int i = 0; i < module->dlpi_phnum; i++) {
                const auto& part = module->dlpi_phdr[i];
                const uintptr_t begin = module->dlpi_addr + part.p_vaddr;
                if (part.p_type != PT_LOAD || !(part.p_flags & PF_X) || wanted.at < begin || wanted.at >= begin + part.p_memsz)
                    continue;
                wanted.found = {begin, begin + part.p_memsz};
                return 1;
            }
            return 0;
        },
        &search);
    return last = search.found;
}

bool in_kernel(const void* instruction) { return machine->code.holds(instruction) || machine->own_code.holds(instruction); }

const void* caller_in_kernel() {
    Walk walk{};
    _Unwind_Backtrace(look, &walk);
    return walk.found;
}

std::string line_of(const void* instruction) {
    static std::mutex mutex;
    static std::map<const void*, std::string> found;  // no module is ever unloaded
    std::lock_guard<std::mutex> lock(mutex);
    const auto [place, is_new] = found.try_emplace(instruction);
    if (is_new) place->second = find_line(instruction);
    return place->second;
}

std::string function_of(const void* instruction) {
    Dl_info module;
    if (!module_of(instruction, module)) return "";
    const std::string library = std::filesystem::path(module.dli_fname).filename();
    if (!module.dli_sname) return library;
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(module.dli_sname, nullptr, nullptr, &status), std::free);
    return std::string(name ? name.get() : module.dli_sname) + " of " + library;
}

}  // namespace ww::sim
