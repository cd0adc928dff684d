// The registry: which kernels there are, and the one road by which each call reaches one.
//
// A Contract says what an op's raw kernels take; it lives in kernels/<op>/<op>.h and all variants of the op share it. A Kernel is
// one variant compiled for one instruction set. Static Registrar objects add kernels before main(), so the build links objects,
// never a static library (the linker would drop them).
//
// Signature: views, then ';', then attributes.
//
//   "out y: T[N,K,P,Q], x: T[N,C,H,W], w: T[K,Cg,R,S], b: T[K]?; stride: int[2]=1, groups: int=1, activation: none|relu=none"
//
//   view       [out|inout] NAME: TYPE[DIMS] followed by nothing, '?' (may be None) or '*' (a sequence of arrays)
//   TYPE       T: the call's own dtype, one of the kernel's; any; or a dtype's name
//   DIMS       letters bind to a size at their first use and must agree after it; integers must match; '...' is any number of
//              dimensions, the same in every view that says so; 'any...' is any number without that bond
//   attribute  NAME: int | int[n] | u64 | float | bool | word|word|... , '=' default (an int[n] takes one int for all)
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/view.h"

namespace ww {

union Attr {
    int64_t ints[4];  // int, bool (0 or 1), u64 (same bits), a word's position in its list
    double real;
};

// One checked call, as a kernel sees it. Indices follow the signature.
struct Call {
    const char* op;
    const View* views;
    const int* first;  // parameter i has views [first[i], first[i + 1]): one, except for sequences
    const Attr* attrs;
    DType dtype;  // what T stands for
    void* workspace = nullptr;
    size_t workspace_bytes = 0;

    const View& view(int i) const { return views[first[i]]; }
    const View& view(int i, int k) const { return views[first[i] + k]; }
    int count(int i) const { return first[i + 1] - first[i]; }
    bool has(int i) const { return view(i).present(); }
    int64_t integer(int i, int k = 0) const { return attrs[i].ints[k]; }
    uint64_t u64(int i) const { return static_cast<uint64_t>(attrs[i].ints[0]); }
    bool flag(int i) const { return attrs[i].ints[0] != 0; }
    double real(int i) const { return attrs[i].real; }
};

// Same bits from run to run and across thread counts is what everybody promises; a kernel that cannot says so here and in its
// contract, and is never chosen unless it is asked for by name.
enum class Determinism : uint8_t { bitwise, run_to_run, none };

struct Contract {
    const char* op;                        // "conv2d_forward"
    const char* family;                    // "conv2d": what ww.kernels.use(conv2d=...) names
    const char* signature;                 // see above
    const char* doc;                       // the contract in prose: it becomes the callable's __doc__
    void (*check)(const Call&) = nullptr;  // what letters cannot say: throws ShapeError, IndexError, ...
    bool in_place = false;                 // an output may be exactly one of the inputs: same data, shape and strides
};

constexpr uint32_t dtype_bit(DType t) { return 1u << static_cast<int>(t); }
constexpr uint32_t kFloats = dtype_bit(DType::float32) | dtype_bit(DType::float64);

struct Kernel {
    const Contract* contract;
    const char* variant;  // named by technique: "naive", "brgemm", ...
    const char* isa;      // WW_ISA_NAME on the CPU
    uint32_t dtypes;      // dtype_bit()s that T may be
    void (*fn)(const Call&);
    int rank = 0;                                      // among the variants that accept a call, the highest rank runs
    bool (*accepts)(const Call&) = nullptr;            // nullptr: everything the contract allows
    size_t (*workspace_bytes)(const Call&) = nullptr;  // nullptr: none
    Determinism determinism = Determinism::bitwise;
    const char* precision = "dtype";  // of the arithmetic; less than the dtype's ("tf32") is never chosen unless asked for by name
};

// Adds kernels before main():
//
//   constexpr Kernel kernels[] = {{&kContract, "naive", WW_ISA_NAME, kFloats, by_float<f<float>, f<double>>}};
//   const Registrar registrar(kernels);
//
// The kernels are constants, and the constructor stands in registry.cpp, because this code runs on every machine whatever its
// instruction set: building a Kernel here could use AVX-512. For the same reason a kernel file has no other static initialiser.
struct Registrar {
    const Kernel* kernels;
    size_t count;
    const Registrar* next;
    template <size_t n>
    explicit Registrar(const Kernel (&k)[n]) : Registrar(k, n) {}
    template <size_t n>
    explicit Registrar(const Kernel (&&)[n]) = delete;  // a temporary would be gone by the time it is read
    static const Registrar*& head();

  private:
    Registrar(const Kernel* k, size_t n);
};

// fn for kernels written once as a template over float and double.
template <void (*F32)(const Call&), void (*F64)(const Call&)>
void by_float(const Call& call) {
    call.dtype == DType::float32 ? F32(call) : F64(call);
}
template <size_t (*F32)(const Call&), size_t (*F64)(const Call&)>
size_t bytes_by_float(const Call& call) {
    return call.dtype == DType::float32 ? F32(call) : F64(call);
}

// ---- what the binding uses -------------------------------------------------------------------------------------------------

struct Dim {
    enum { letter, literal, ellipsis } kind;
    int64_t value;  // which letter of the signature, or the integer
    std::string text;
};
struct ViewParam {
    std::string name, type_text;
    bool out = false, inout = false, optional = false, sequence = false;
    enum { own, any, fixed } type = own;
    DType dtype = DType::float32;  // when fixed
    std::vector<Dim> dims;
    int rank = 0, ellipsis = -1;  // dimensions that are no ellipsis, and where that stands
};
struct AttrParam {
    std::string name;
    enum { integer, u64, real, boolean, word } type = integer;
    int count = 1;  // n of int[n]
    bool required = true;
    Attr initial{};
    std::vector<std::string> words;
};
struct Signature {
    std::vector<ViewParam> views;
    std::vector<AttrParam> attrs;
    static Signature parse(const char* text);  // throws Error on a malformed text: a bug in a contract
};

// One op with the variants that this machine can run, best first.
struct Op {
    const Contract* contract;
    Signature signature;
    std::vector<Kernel> kernels;
    const Kernel* find(const std::string& variant) const;
};

// Sorted by name; filled at the first call. WHITEWOLF_ISA=baseline|avx2|avx512 caps the instruction set.
const std::vector<Op>& ops();
const Op* find_op(const std::string& name);
const char* selected_isa();

// Checks dtypes, dimensions, writability of shapes and contract->check. Sets call.dtype.
void check_call(const Op& op, Call& call);

// The first kernel that takes the call: the variant asked for by name, else the one in force for the family (VariantScope),
// else by rank. An asked-for variant that does not accept is an error, never a silent fall-back.
const Kernel& select(const Op& op, const Call& call, const char* variant);

// Runs it: the one function through which every call of every device goes. Profiling hangs here.
void run(const Op& op, const Kernel& kernel, const Call& call);

// Variants in force on this thread, the latest first: ww.kernels.use(...). A scope ends by its number, whatever the order.
uint64_t push_variant(const std::string& family, const std::string& variant);
void pop_variant(uint64_t scope);

struct CallRecord {
    const Kernel* kernel;
    double seconds;
    int64_t bytes;  // of all views
};
void profile_start();
std::vector<CallRecord> profile_stop();

}  // namespace ww
