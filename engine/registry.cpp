#include "engine/registry.h"

#include "engine/library.h"

#if defined(WW_CUDA)
#include "engine/cuda/runtime.h"
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace ww {

const Registrar*& Registrar::head() {
    static const Registrar* first = nullptr;
    return first;
}

Registrar::Registrar(const Kernel* k, size_t n) : kernels(k), count(n), next(head()) { head() = this; }

const Kernel* Op::find(const std::string& variant) const {
    for (const Kernel& k : kernels)
        if (variant == k.variant) return &k;
    return nullptr;
}

namespace {

constexpr const char* kIsas[] = {"baseline", "avx2", "avx512"};

int isa_level(const char* name) {
    for (int i = 0; i < 3; i++)
        if (!std::strcmp(name, kIsas[i])) return i;
    return 0;  // code for other devices is not bound to a CPU instruction set
}

int machine_level() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return avx512 ? 2 : avx2 ? 1 : 0;
#else
    return 0;
#endif
}

int chosen_level() {
    static const int level = [] {
        int machine = machine_level();
        const char* asked = std::getenv("WHITEWOLF_ISA");
        if (!asked || !*asked) return machine;
        for (int i = 0; i < 3; i++) {
            if (std::strcmp(asked, kIsas[i])) continue;
            if (i > machine)
                fail<DeviceError>("WHITEWOLF_ISA: expected an instruction set of this machine (at most %s), got %s", kIsas[machine],
                                  asked);
            return i;
        }
        fail<DeviceError>("WHITEWOLF_ISA: expected baseline, avx2 or avx512, got '%s'", asked);
    }();
    return level;
}

std::vector<Op> collect(const std::vector<const Kernel*>& added) {
    int level = chosen_level();
    std::vector<Op> all;
    std::vector<Kernel> registered;
    for (const Registrar* r = Registrar::head(); r; r = r->next)
        registered.insert(registered.end(), r->kernels, r->kernels + r->count);
    std::reverse(registered.begin(), registered.end());  // an op's contract is the one that came first
    for (const Kernel* k : added) registered.push_back(*k);
    for (const Kernel& k : registered) {
        if (isa_level(k.isa) > level) continue;
        auto op = std::find_if(all.begin(), all.end(), [&](const Op& o) { return !std::strcmp(o.contract->op, k.contract->op); });
        if (op == all.end()) {
            all.push_back({k.contract, Signature::parse(k.contract->signature), {}});
            op = all.end() - 1;
        }
        auto same = std::find_if(op->kernels.begin(), op->kernels.end(),
                                 [&](const Kernel& other) { return !std::strcmp(other.variant, k.variant); });
        if (same == op->kernels.end()) op->kernels.push_back(k);
        else if (isa_level(k.isa) > isa_level(same->isa)) *same = k;
    }
    // Ties go by name, so that the choice never depends on link order.
    for (Op& op : all)
        std::sort(op.kernels.begin(), op.kernels.end(), [](const Kernel& a, const Kernel& b) {
            return a.rank != b.rank ? a.rank > b.rank : std::strcmp(a.variant, b.variant) < 0;
        });
    std::sort(all.begin(), all.end(), [](const Op& a, const Op& b) { return std::strcmp(a.contract->op, b.contract->op) < 0; });
    return all;
}

struct Forced {
    uint64_t scope;
    std::string family, variant;
};
thread_local std::vector<Forced> forced;
std::atomic<uint64_t> scopes{0};

std::atomic<bool> profiling{false};
std::mutex profile_mutex;
std::vector<CallRecord> profile_records;

}  // namespace

// The table of all ops is replaced, never changed, and old ones are kept: readers need no lock.
static std::atomic<const std::vector<Op>*> table{nullptr};

const std::vector<Op>& ops() {
    static const bool filled = [] {
        refresh_ops({});
        return true;
    }();
    (void)filled;
    return *table.load(std::memory_order_acquire);
}

void refresh_ops(const std::vector<const Kernel*>& added) {
    table.store(new std::vector<Op>(collect(added)), std::memory_order_release);
}

const Op* find_op(const std::string& name) {
    for (const Op& op : ops())
        if (name == op.contract->op) return &op;
    return nullptr;
}

const char* selected_isa() { return kIsas[chosen_level()]; }

const Kernel& select(const Op& op, const Call& call, const char* variant) {
    const char* asked = variant;
    if (!asked)
        for (const Forced& f : forced)
            if (f.family == op.contract->family && op.find(f.variant)) asked = f.variant.c_str();
    for (const Kernel& k : op.kernels) {
        bool offered = k.determinism != Determinism::none && !std::strcmp(k.precision, "dtype");
        if (asked ? std::strcmp(asked, k.variant) != 0 : !offered) continue;
        bool typed = k.dtypes >> static_cast<int>(call.dtype) & 1;
        if (typed && (!k.accepts || k.accepts(call))) return k;
        if (asked)
            fail<ShapeError>(
                "%s: expected arguments that variant '%s' accepts (dtype, strides, sizes), got dtype %s and %s of shape %s",
                op.contract->op, asked, dtype_name(call.dtype), op.signature.views[0].name.c_str(),
                call.view(0).shape_text().c_str());
    }
    if (asked) fail<ShapeError>("%s: expected a variant of this op, got '%s'", op.contract->op, asked);
    bool typed = false;
    for (const Kernel& k : op.kernels) typed |= (k.dtypes >> static_cast<int>(call.dtype) & 1) != 0;
    if (!typed)
        fail<DTypeError>("%s: expected a dtype that a kernel of this device has, got %s", op.contract->op, dtype_name(call.dtype));
    fail<Error>("%s: no variant accepts this call; one that takes any strides is missing", op.contract->op);
}

void run(const Op& op, const Kernel& kernel, const Call& call) {
    if (!profiling.load(std::memory_order_relaxed)) return kernel.fn(call);
    auto start = std::chrono::steady_clock::now();
    kernel.fn(call);
#if defined(WW_CUDA)
    cuda::synchronize();  // else this would be the time of the launch
#endif
    std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    int64_t bytes = 0;
    for (int i = 0; i < call.first[op.signature.views.size()]; i++)
        if (call.views[i].present()) bytes += call.views[i].size() * item_size(call.views[i].dtype);
    std::lock_guard<std::mutex> lock(profile_mutex);
    profile_records.push_back({&kernel, elapsed.count(), bytes});
}

uint64_t push_variant(const std::string& family, const std::string& variant) {
    forced.push_back({++scopes, family, variant});
    return forced.back().scope;
}
void pop_variant(uint64_t scope) {
    forced.erase(std::remove_if(forced.begin(), forced.end(), [&](const Forced& f) { return f.scope == scope; }), forced.end());
}

void profile_start() {
    std::lock_guard<std::mutex> lock(profile_mutex);
    profile_records.clear();
    profiling = true;
}
std::vector<CallRecord> profile_stop() {
    std::lock_guard<std::mutex> lock(profile_mutex);
    profiling = false;
    return std::move(profile_records);
}

}  // namespace ww
