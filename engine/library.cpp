#include "engine/library.h"

#include <dlfcn.h>

#include <cstring>
#include <map>

namespace ww {
namespace {

struct Opened {
    Library library;
    std::string source;
    bool in_use;
};
std::map<std::string, Opened>& opened() {
    static std::map<std::string, Opened> all;
    return all;
}

bool same(const char* a, const char* b) { return std::strcmp(a, b) == 0; }

std::string origin_of(const Kernel& kernel) {
    for (const auto& [path, one] : opened())
        for (const Kernel* k : one.library.kernels)
            if (one.in_use && same(k->contract->op, kernel.contract->op) && same(k->variant, kernel.variant)) return one.source;
    return "Whitewolf itself";
}

// `other` is there already, from `origin`.
void check_beside(const Kernel& kernel, const Kernel& other, const std::string& source, const std::string& origin) {
    const Contract &mine = *kernel.contract, &theirs = *other.contract;
    if (!same(mine.op, theirs.op)) return;
    if (!same(mine.signature, theirs.signature) || !same(mine.family, theirs.family))
        fail<ShapeError>("kernels.load: expected %s in %s to have the contract of %s (family %s, \"%s\"), got family %s, \"%s\"",
                         mine.op, source.c_str(), origin.c_str(), theirs.family, theirs.signature, mine.family, mine.signature);
    if (same(kernel.variant, other.variant))
        fail<ShapeError>("kernels.load: expected a new variant of %s in %s, got '%s' (%s), which is there already, from %s",
                         mine.op, source.c_str(), kernel.variant, kernel.isa, origin.c_str());
}

void check(const std::vector<const Kernel*>& kernels, const std::string& source) {
    if (kernels.empty()) fail<ShapeError>("kernels.load: expected kernels in a static Registrar in %s, got none", source.c_str());
    for (size_t i = 0; i < kernels.size(); i++) {
        const Kernel& kernel = *kernels[i];
        try {
            Signature::parse(kernel.contract->signature);
        } catch (const Error& error) {
            fail<ShapeError>("kernels.load: expected %s in %s to have a signature, got %s", kernel.contract->op, source.c_str(),
                             error.what());
        }
        if (const Op* op = find_op(kernel.contract->op))
            for (const Kernel& other : op->kernels) check_beside(kernel, other, source, origin_of(other));
        for (size_t k = 0; k < i; k++) check_beside(kernel, *kernels[k], source, "the same folder");
    }
}

}  // namespace

const Library& open_library(const std::string& path, const std::string& source) {
    auto found = opened().find(path);
    if (found == opened().end()) {
        ops();  // collected from the Registrars of this module
        const Registrar* before = Registrar::head();
        void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (!handle) fail<Error>("kernels.load: the library built from %s does not load: %s", source.c_str(), dlerror());
        std::vector<const Kernel*> kernels;
        for (const Registrar* r = Registrar::head(); r != before; r = r->next)
            for (size_t i = 0; i < r->count; i++) kernels.push_back(r->kernels + i);
        Registrar::head() = before;
        found = opened().emplace(path, Opened{{handle, kernels}, source, false}).first;
    }
    if (!found->second.in_use) check(found->second.library.kernels, source);
    return found->second.library;
}

void add_library(const Library& library) {
    std::vector<const Kernel*> added;
    for (auto& [path, one] : opened()) {
        if (&one.library == &library) one.in_use = true;
        if (one.in_use) added.insert(added.end(), one.library.kernels.begin(), one.library.kernels.end());
    }
    refresh_ops(added);
}

}  // namespace ww
