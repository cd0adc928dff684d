// What every op ends with: its arrays as Tensors, and a Node where an input requires grad. See python/whitewolf/graph.py.
#pragma once

#include <pybind11/pybind11.h>

namespace ww {

// Adds `record`, `edge_of` and `prepare_record` to the module.
void define_record(pybind11::module_& m);

}  // namespace ww
