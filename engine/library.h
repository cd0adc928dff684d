// Kernels of one's own: a shared library that ww.kernels.load built joins the registry.
#pragma once

#include <string>
#include <vector>

#include "engine/registry.h"

namespace ww {

struct Library {
    void* handle;  // of dlopen; never closed: kernels are reached by their addresses
    std::vector<const Kernel*> kernels;
};

// Opens a library, linked against this module, whose Registrars add themselves as it loads, and checks that its kernels can join
// the others: none is there already, and an op that is there has the same contract. `source` is what it was built from, for errors.
// Callers hold the GIL, so that no two calls run at a time. Throws ShapeError, or Error where the library does not load.
const Library& open_library(const std::string& path, const std::string& source);

// The kernels of an open library are in ops() from now on, which is made anew. What ops() returned before stays valid, and as it
// was: calls may be in flight.
void add_library(const Library& library);

// Makes ops() of all Registrars and these kernels.
void refresh_ops(const std::vector<const Kernel*>& added);

}  // namespace ww
