// Switching between stacks: what a fibre is made of. Own code for x86-64 and aarch64 (about 9 ns a switch), ucontext elsewhere
// (about 300 ns: it makes a system call). Define WW_SIM_UCONTEXT to use the latter anywhere.
#pragma once

namespace ww::sim {

// Saves where this stack goes on in *save, and goes on with `to`.
void switch_context(void** save, void* to);

// What to switch to so that `entry` begins on the stack [bottom, top). `entry` never returns. `slot` is a pointer that stays with
// the stack, nullptr at first; the ucontext version keeps its record there.
void* new_context(char* bottom, char* top, void (*entry)(), void** slot);
void free_context(void* slot);

}  // namespace ww::sim
