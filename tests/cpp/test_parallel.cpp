// The thread pool: coverage, concurrency, nesting, exceptions, fork, resizing, configuration.
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "engine/error.h"
#include "engine/parallel.h"
#include "tests/cpp/check.h"

using ww::parallel_for;
using ww::parallel_steps;

namespace {

// True if parallel_for covers [0, n) exactly once in chunks that are legal for `grain`.
bool covers(int64_t n, int64_t grain) {
    std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
    std::atomic<bool> legal{true};
    parallel_for(n, grain, [&](int64_t begin, int64_t end) {
        if (end - begin < std::min(grain, n) || (grain > 0 && begin % grain)) legal = false;
        for (int64_t i = begin; i < end; i++) seen[static_cast<size_t>(i)]++;
    });
    bool once = true;
    for (const auto& count : seen) once &= count == 1;
    return once && legal;
}

int64_t sum_to(int64_t n) {
    std::vector<int64_t> values(static_cast<size_t>(n));  // plain memory: the sanitizer checks that the caller may read it
    parallel_for(n, 16, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) values[static_cast<size_t>(i)] = i;
    });
    int64_t sum = 0;
    for (int64_t v : values) sum += v;
    return sum;
}

void every_index_is_covered_once() {
    for (int threads : {1, 2, 3, 8}) {
        ww::set_num_threads(threads);
        CHECK(ww::num_threads() == threads);
        for (int64_t n : {0, 1, 2, 7, 64, 97, 1000, 4099})
            for (int64_t grain : {0, 1, 3, 64, 5000}) CHECK(covers(n, grain));
    }
    ww::set_num_threads(4);
    std::atomic<int> calls{0};
    parallel_for(-3, 1, [&](int64_t, int64_t) { calls++; });
    CHECK(calls == 0);
    const int64_t huge = INT64_MAX;
    std::atomic<int64_t> covered{0};
    parallel_for(huge, 1, [&](int64_t begin, int64_t end) { covered += end - begin; });
    CHECK(covered == huge);
}

// True if a worker comes: each of two chunks waits for the other, so one thread alone cannot end this before it gives up.
bool a_worker_comes() {
    std::atomic<int> arrived{0};
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    std::atomic<bool> met{true};
    parallel_for(2, 1, [&](int64_t, int64_t) {
        arrived++;
        while (arrived < 2 && met) {
            if (std::chrono::steady_clock::now() > give_up) met = false;
            std::this_thread::yield();
        }
    });
    return met;
}

void workers_come_from_spinning_and_from_sleep() {
    ww::set_num_threads(2);
    for (int i = 0; i < 5; i++) {
        CHECK(a_worker_comes());
        CHECK(a_worker_comes());
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

void nested_loops_run_in_their_own_thread() {
    ww::set_num_threads(4);
    std::atomic<int64_t> total{0};
    std::atomic<bool> elsewhere{false};
    parallel_for(16, 1, [&](int64_t begin, int64_t end) {
        const auto self = std::this_thread::get_id();
        for (int64_t i = begin; i < end; i++)
            parallel_for(100, 1, [&](int64_t b, int64_t e) {
                if (std::this_thread::get_id() != self || b != 0 || e != 100) elsewhere = true;
                total += e - b;
            });
    });
    CHECK(total == 1600);
    CHECK(!elsewhere);
}

void the_first_exception_reaches_the_caller() {
    for (int threads : {1, 4}) {
        ww::set_num_threads(threads);
        for (int round = 0; round < 200; round++) {
            std::atomic<int> running{0};
            const std::string text = check::text_of<std::runtime_error>([&] {
                parallel_for(64, 1, [&](int64_t begin, int64_t) {
                    running++;
                    if (begin % 2 == 0) {
                        running--;
                        throw std::runtime_error("odd luck");
                    }
                    std::this_thread::yield();
                    running--;
                });
            });
            if (text != "odd luck" || running != 0) return CHECK(!"lost the exception, or came back before the chunks had ended");
        }
        CHECK(sum_to(1000) == 499500);  // and the pool still works
    }
}

void callers_do_not_wait_for_strangers() {
    ww::set_num_threads(3);
    std::atomic<bool> started{false}, release{false};
    std::thread slow([&] {
        parallel_for(8, 1, [&](int64_t, int64_t) {
            started = true;
            while (!release) std::this_thread::yield();
        });
    });
    while (!started) std::this_thread::yield();
    for (int i = 0; i < 100; i++)
        if (sum_to(1000) != 499500) CHECK(!"wrong sum");
    CHECK(!release);  // all of those ended while every worker may have been held in the slow loop
    release = true;
    slow.join();
}

// More callers than slots, and one more that keeps changing the number of threads.
void callers_share_the_pool() {
    std::atomic<bool> stop{false};
    std::thread resizer([&] {
        for (int i = 0; !stop; i++) {
            ww::set_num_threads(1 + i % 6);
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
    });
    std::vector<std::thread> callers;
    std::atomic<int> wrong{0};
    for (int t = 0; t < 20; t++)
        callers.emplace_back([&, t] {
            for (int i = 0; i < 150; i++) {
                if (sum_to(500 + t) != int64_t{500 + t} * (499 + t) / 2) wrong++;
                if (i % 10 == 0 && check::text_of<std::runtime_error>([t] {
                                       parallel_for(32, 1, [t](int64_t, int64_t) { throw std::runtime_error(std::to_string(t)); });
                                   }) != std::to_string(t))
                    wrong++;                                                                   // somebody else's exception, or none
                if (i % 50 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));  // let workers fall asleep
            }
        });
    for (auto& caller : callers) caller.join();
    stop = true;
    resizer.join();
    CHECK(wrong == 0);
}

// True if each job of each step ran once, and read what every job of the step before had written. `slow` jobs take their time.
bool steps_in_order(int64_t steps, int64_t jobs, bool slow) {
    std::vector<int64_t> at(static_cast<size_t>(2 * jobs), 0);  // plain memory: the sanitizer checks that the reader may
    std::atomic<bool> in_order{true};
    parallel_steps(steps, jobs, [&](int64_t step, int64_t job) {
        int64_t* const now = at.data() + (step % 2) * jobs;
        const int64_t* const before = at.data() + ((step + 1) % 2) * jobs;
        for (int64_t j = 0; j < jobs; j++)
            if (before[j] != step) in_order = false;
        if (slow && (step + job) % 7 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
        now[job] += step ? 2 : 1;
        if (now[job] != step + 1) in_order = false;
    });
    if (steps == 0 || jobs == 0) return in_order && std::count(at.begin(), at.end(), 0) == 2 * jobs;
    return in_order && std::count(at.begin() + (steps + 1) % 2 * jobs, at.begin() + (steps + 1) % 2 * jobs + jobs, steps) == jobs;
}

void steps_follow_one_another() {
    for (int threads : {1, 2, 3, 8, 200}) {
        ww::set_num_threads(threads);
        for (int64_t jobs : {0, 1, 2, 5, 64, 131})
            for (int64_t steps : {0, 1, 2, 33}) CHECK(steps_in_order(steps, jobs, false));
        CHECK(steps_in_order(50, 6, true));
    }
    ww::set_num_threads(4);
    std::atomic<int64_t> total{0};  // inside another loop
    parallel_for(8, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) parallel_steps(10, 3, [&](int64_t, int64_t job) { total += job; });
    });
    CHECK(total == 8 * 10 * 3);
}

void an_exception_ends_the_steps() {
    for (int threads : {1, 4}) {
        ww::set_num_threads(threads);
        for (int round = 0; round < 100; round++) {
            std::atomic<bool> late{false};
            const std::string text = check::text_of<std::runtime_error>([&] {
                parallel_steps(20, 8, [&](int64_t step, int64_t job) {
                    if (step > 5) late = true;
                    if (step == 5 && job == round % 8) throw std::runtime_error("odd step");
                });
            });
            if (text != "odd step" || late) return CHECK(!"lost the exception, or went on after it");
        }
        CHECK(steps_in_order(20, 8, false));
    }
}

#if !defined(WW_TSAN)  // TSan does not support new threads in the child of a process with several
void a_child_has_a_fresh_pool() {
    ww::set_num_threads(4);
    CHECK(sum_to(1000) == 499500);
    CHECK(check::in_child([] { CHECK(a_worker_comes()); }) == 0);

#if !defined(__SANITIZE_ADDRESS__)  // whose allocator hangs in a child forked while others allocate
    // While another thread computes, and a third one hires and retires workers (and so holds the pool's lock).
    std::atomic<bool> stop{false};
    std::thread computing([&] {
        while (!stop) sum_to(2000);
    });
    std::thread resizing([&] {
        for (int i = 0; !stop; i++) ww::set_num_threads(2 + i % 5), sum_to(100);
    });
    for (int i = 0; i < 30; i++)
        CHECK(check::in_child([] {
                  for (int k = 0; k < 20; k++) CHECK(sum_to(1000) == 499500);
                  CHECK(check::in_child([] { CHECK(sum_to(1000) == 499500); }) == 0);
              }) == 0);
    stop = true;
    computing.join();
    resizing.join();
#endif
    CHECK(sum_to(1000) == 499500);
}

void a_fork_inside_a_body_is_an_error_in_the_child() {
    ww::set_num_threads(2);
    const auto caller = std::this_thread::get_id();
    pid_t child = -1;
    bool in_child = false;
    const std::string text = check::text_of<ww::Error>([&] {
        parallel_for(8, 1, [&](int64_t, int64_t) {
            if (std::this_thread::get_id() != caller || child >= 0) return;
            child = fork();
            in_child = child == 0;
        });
    });
    if (in_child) _exit(text.find("expected no fork() inside a body") != std::string::npos ? 0 : 1);
    int status = 1;
    if (child > 0) waitpid(child, &status, 0);
    CHECK(child == -1 || status == 0);  // -1: the worker was quicker and took every chunk
}

void the_environment_sets_the_default() {
    auto with = [](const char* value, auto body) {
        return check::in_child([&] {
            setenv("WHITEWOLF_THREADS", value, 1);
            body();
        });
    };
    CHECK(with("3", [] { CHECK(ww::num_threads() == 3); }) == 0);
    CHECK(with("", [] { CHECK(ww::num_threads() >= 1); }) == 0);
    for (const char* bad : {"0", "-2", "100000", "two", "2x", "99999999999999999999"})
        CHECK(with(bad, [bad] {
                  CHECK(check::text_of<ww::ShapeError>([] { ww::num_threads(); }) ==
                        std::string("WHITEWOLF_THREADS: expected an integer in [1, 1024], got '") + bad + "'");
              }) == 0);
}
#endif

void a_bad_count_is_an_error() {
    for (int n : {0, -1})
        CHECK(check::text_of<ww::ShapeError>([n] { ww::set_num_threads(n); }) ==
              "set_num_threads: expected n >= 1, got " + std::to_string(n));
}

void cgroup_quotas_bind() {
    char root[] = "/tmp/whitewolf-cgroup-XXXXXX";
    if (!mkdtemp(root)) return CHECK(!"mkdtemp");
    const std::string base = root;
    auto folder = [&](const std::string& name) { mkdir((base + name).c_str(), 0700); };
    auto write = [&](const std::string& name, const std::string& text) { std::ofstream(base + name) << text; };
    auto quota = [&](const std::string& membership) {
        write("/self", membership);
        return ww::detail::quota_cpus((base + "/self").c_str(), root);
    };
    folder("/a"), folder("/a/b"), folder("/cpu,cpuacct"), folder("/cpu,cpuacct/job");
    CHECK(quota("0::/\n") == 0);
    write("/a/cpu.max", "max 100000\n");
    CHECK(quota("0::/a/b\n") == 0);
    write("/a/b/cpu.max", "250000 100000\n");
    CHECK(quota("0::/a/b\n") == 3);  // rounded up
    write("/a/cpu.max", "50000 100000\n");
    CHECK(quota("0::/a/b\n") == 1);  // an ancestor's quota binds too
    CHECK(quota("0::/elsewhere/b\n") == 0);
    write("/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    write("/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    CHECK(quota("5:memory:/x\n4:cpu,cpuacct:/job\n") == 0);
    write("/cpu,cpuacct/cpu.cfs_quota_us", "200000\n");
    CHECK(quota("5:memory:/x\n4:cpu,cpuacct:/job\n") == 2);  // the container's own directory is the root
    CHECK(ww::detail::quota_cpus("/nonexistent", root) == 0);
    if (system(("rm -r " + base).c_str()) != 0) CHECK(!"rm");
}

}  // namespace

int main() {
#if !defined(WW_TSAN)
    the_environment_sets_the_default();  // before this process has asked
#endif
    every_index_is_covered_once();
    workers_come_from_spinning_and_from_sleep();
    nested_loops_run_in_their_own_thread();
    the_first_exception_reaches_the_caller();
    callers_do_not_wait_for_strangers();
    callers_share_the_pool();
    steps_follow_one_another();
    an_exception_ends_the_steps();
#if !defined(WW_TSAN)
    a_child_has_a_fresh_pool();
    a_fork_inside_a_body_is_an_error_in_the_child();
#endif
    a_bad_count_is_an_error();
    cgroup_quotas_bind();
    return check::summary("test_parallel");
}
