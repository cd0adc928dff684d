#include "engine/cuda/sim/context.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#if !defined(WW_SIM_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define WW_SIM_UCONTEXT
#endif

#if defined(WW_SIM_UCONTEXT)
#include <ucontext.h>
#else
extern "C" __attribute__((visibility("hidden"))) void ww_sim_switch(void** save, void* to);
#endif

#if defined(WW_SIM_UCONTEXT)

namespace ww::sim {

// A context is a ucontext_t. The one of the OS thread's own stack is made on its first switch away.
void switch_context(void** save, void* to) {
    thread_local ucontext_t main_context;
    if (!*save) *save = &main_context;
    swapcontext(static_cast<ucontext_t*>(*save), static_cast<ucontext_t*>(to));
}

void* new_context(char* bottom, char* top, void (*entry)(), void** slot) {
    if (!*slot) *slot = new ucontext_t;
    auto* made = static_cast<ucontext_t*>(*slot);
    getcontext(made);
    made->uc_stack.ss_sp = bottom;
    made->uc_stack.ss_size = static_cast<size_t>(top - bottom);
    made->uc_link = nullptr;
    makecontext(made, entry, 0);
    return made;
}

void free_context(void* slot) { delete static_cast<ucontext_t*>(slot); }

}  // namespace ww::sim

#elif defined(__x86_64__)

// The System V ABI lets a function clobber all but rbx, rbp, r12 to r15 and the control words, which no kernel changes. The jump
// replaces `ret`, whose predictor would miss every time.
asm(R"(
    .text
    .globl ww_sim_switch
    .hidden ww_sim_switch
    .type ww_sim_switch, @function
ww_sim_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    popq %rcx
    jmp *%rcx
    .size ww_sim_switch, .-ww_sim_switch
)");

namespace ww::sim {

void switch_context(void** save, void* to) { ww_sim_switch(save, to); }

void* new_context(char*, char* top, void (*entry)(), void**) {
    // At entry the stack must look as after a call: 16-byte aligned plus the 8 bytes of a return address.
    auto** frame = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t{15}) - 8;
    std::memset(frame, 0, 8 * sizeof *frame);
    frame[6] = reinterpret_cast<void*>(entry);
    return frame;
}

void free_context(void*) {}

}  // namespace ww::sim

#else  // aarch64

// AAPCS64: x19 to x30, sp and the low halves of v8 to v15 survive a call.
asm(R"(
    .text
    .globl ww_sim_switch
    .hidden ww_sim_switch
    .type ww_sim_switch, %function
ww_sim_switch:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
    .size ww_sim_switch, .-ww_sim_switch

    .globl ww_sim_begin
    .hidden ww_sim_begin
    .type ww_sim_begin, %function
ww_sim_begin:
    mov x30, xzr
    br x19
    .size ww_sim_begin, .-ww_sim_begin
)");
extern "C" __attribute__((visibility("hidden"))) void ww_sim_begin();

namespace ww::sim {

void switch_context(void** save, void* to) { ww_sim_switch(save, to); }

void* new_context(char*, char* top, void (*entry)(), void**) {
    auto** frame = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t{15}) - 20;
    std::memset(frame, 0, 20 * sizeof *frame);
    frame[0] = reinterpret_cast<void*>(entry);          // x19
    frame[11] = reinterpret_cast<void*>(ww_sim_begin);  // x30: where ret goes. It calls entry with no return address: there the
                                                        // stack ends for whoever unwinds it
    return frame;
}

void free_context(void*) {}

}  // namespace ww::sim
#endif
