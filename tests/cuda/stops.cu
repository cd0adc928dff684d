// How launches end that would not by themselves: when their time is over, when Ctrl-C comes, when another block has failed. Not for
// qemu-user, which has no timers of a thread's CPU time.
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "engine/cuda/sim/interrupt.h"
#include "engine/parallel.h"
#include "tests/cuda/refused.cuh"

namespace {

using namespace ww::cuda;
using harness::Array;
using ww::sim::Order;

const std::string kSpinLine = LINE_BELOW(3);
__global__ void spin(const int* flag) {
    if (threadIdx.x != 5) return;
    while (*static_cast<const volatile int*>(flag) == 1) continue;
}
const std::string kMeetLine = LINE_BELOW(2);
__global__ void meet_for_ever(const int* flag) {
    while (*static_cast<const volatile int*>(flag) == 1) __syncthreads();
}
const std::string kAtomicLine = LINE_BELOW(2);
__global__ void count_for_ever(int* flag) {
    while (atomicAdd(flag, 0) == 1) continue;
}
// Functions of the host's library that hold a lock while they are at work, which nearly all of the time they are.
const std::string kPrintLine = LINE_BELOW(2);
__global__ void print_for_ever(FILE* file, const int* flag) {
    while (*static_cast<const volatile int*>(flag) == 1) fprintf(file, "%d: %f\n", 17, 1.0 / 3);
}
const std::string kAllocateLine = LINE_BELOW(2);
__global__ void allocate_for_ever(const volatile int* flag) {
    while (*flag == 1) std::free(std::malloc(5000 + static_cast<size_t>(*flag)));
}
// The first block fails when the second is at work, which would be for a minute.
__global__ void fail_while_others_spin(int* begun) {
    volatile int* flag = begun;
    if (blockIdx.x == 1) {
        *flag = 1;
        for (;;) continue;
    }
    while (*flag == 0) continue;
    assert(blockIdx.x == 1);
}
__global__ void fail_while_others_meet(int* begun) {
    volatile int* flag = begun;
    if (blockIdx.x == 1) {
        *flag = 1;
        for (;;) __syncthreads();
    }
    while (*flag == 0) continue;
    assert(blockIdx.x == 1);
}
__global__ void nothing(int) {}

void loops() {
    Array<int> flag(1);
    flag[0] = 1;
    const ww::sim::Options before = ww::sim::options();
    for (Order order : {Order::lockstep, Order::forward, Order::reverse, Order::random}) {
        ww::sim::options() = {order, ww::sim::Asynchrony::late, 1, 80, 0.04};
        auto refused = [&](const char* name, std::vector<std::string> words, auto launch_it) {
            words.insert(words.end(), {"block (", "thread (", "its time is over", "timeout"});
            harness::must_hold(name, check::text_of<ww::DeviceError>(launch_it), words, name_of(order));
        };
        refused("spin", {"kernel spin", "thread (5, 0, 0)", kSpinLine}, [&] { launch<spin>({3, 32}, flag.data()); });
        refused("barrier", {"kernel meet_for_ever", kMeetLine}, [&] { launch<meet_for_ever>({2, 64}, flag.data()); });
        refused("atomic", {"kernel count_for_ever", kAtomicLine.substr(0, kAtomicLine.size() - 1)},
                [&] { launch<count_for_ever>({1, 32}, flag.data()); });
        refused("cooperative", {"kernel spin", kSpinLine}, [&] { launch<spin>({2, 32, 0, true}, flag.data()); });
        launch<nothing>({8, 64}, 0);
    }
    ww::sim::options() = before;
}

// The library is as it was: a thread that was ended in the middle of it would keep its lock for ever.
void locks() {
    Array<int> flag(1);
    flag[0] = 1;
    FILE* buffered = fopen("/dev/null", "w");
    FILE* unbuffered = fopen("/dev/null", "w");
    setvbuf(unbuffered, nullptr, _IONBF, 0);
    for (double timeout : {0.01, 0.02, 0.03}) {
        ww::sim::options().timeout = timeout;
        for (FILE* file : {buffered, unbuffered})
            harness::must_hold("prints",
                               check::text_of<ww::DeviceError>([&] { launch<print_for_ever>({1, 32}, file, flag.data()); }),
                               {"kernel print_for_ever", "block (0, 0, 0), thread (", kPrintLine, "its time is over"}, "");
        harness::must_hold("allocates", check::text_of<ww::DeviceError>([&] { launch<allocate_for_ever>({1, 32}, flag.data()); }),
                           {"kernel allocate_for_ever", "block (0, 0, 0), thread (", kAllocateLine, "its time is over"}, "");
        std::thread([&] {
            for (FILE* file : {buffered, unbuffered}) CHECK(fprintf(file, "free\n") == 5);
        }).join();
    }
    ww::sim::options() = {};
}

double seconds_of(const std::function<void()>& body) {
    const auto start = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void others() {
    ww::set_num_threads(2);
    Array<int> begun(1);
    ww::sim::options().timeout = 60;
    for (auto run : {+[](int* x) { launch<fail_while_others_spin>({2, 32}, x); },
                     +[](int* x) { launch<fail_while_others_meet>({2, 32}, x); }}) {
        begun[0] = 0;
        std::string text;
        CHECK(seconds_of([&] { text = check::text_of<ww::DeviceError>([&] { run(begun.data()); }); }) < 20);
        harness::must_hold("others", text, {"block (0, 0, 0), thread (", "assertion 'blockIdx.x == 1' failed"}, "");
    }
    ww::sim::options() = {};
}

// One interrupt ends the launches of all threads that ask for it, whatever the timeout, and those that begin after it go on.
void interrupts() {
    for (double timeout : {300.0, std::numeric_limits<double>::infinity()}) {
        Array<int> flag(1);
        flag[0] = 1;
        std::atomic<int> ended{0}, running{0};
        auto spins = [&] {
            ww::sim::options().timeout = timeout;
            ww::sim::EndedByInterrupt scope;
            running++;
            const std::string text = check::text_of<ww::sim::Interrupted>([&] { launch<spin>({1, 32}, flag.data()); });
            ended += text == "cudasim: kernel spin: interrupted";
        };
        std::thread first(spins), second(spins);
        while (running < 2) std::this_thread::yield();
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        kill(getpid(), SIGINT);
        first.join(), second.join();
        CHECK(ended == 2);
        ww::sim::EndedByInterrupt scope;
        launch<nothing>({4, 32}, 0);
    }
    struct sigaction now;
    CHECK(sigaction(SIGINT, nullptr, &now) == 0 && now.sa_handler == SIG_IGN);  // as it was
}

}  // namespace

int main() {
    signal(SIGINT, SIG_IGN);
    loops();
    CHECK(check::in_child(locks) == 0);
    CHECK(check::in_child(others) == 0);
    interrupts();
    return check::summary("stops");
}
