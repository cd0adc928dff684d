// Checks for the C++ tests of engine/: each prints what failed and where, the last line of a program counts them.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#if defined(__SANITIZE_THREAD__)
#define WW_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WW_TSAN 1
#endif
#endif

namespace check {

inline std::atomic<int> passed{0}, failed{0};

inline void that(bool holds, const char* text, const char* file, int line) {
    (holds ? passed : failed)++;
    if (!holds) fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
}

// The text of the E that `body` throws; "" if it throws none.
template <class E, class Body>
std::string text_of(Body body) {
    try {
        body();
    } catch (const E& error) {
        return error.what();
    }
    return "";
}

// Runs `body` in a child process; its exit status, or -signal. A child that hangs for 10 s is killed: -SIGKILL.
template <class Body>
int in_child(Body body, bool quiet = false) {
    fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        failed = 0;  // the parent's are its own
        if (quiet && !freopen("/dev/null", "w", stderr)) _exit(98);
        body();
        _exit(failed ? 99 : 0);
    }
    int status = 0;
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (waitpid(child, &status, WNOHANG) == 0) {  // alarm() would not do: a thread may hang with its signals blocked
        if (std::chrono::steady_clock::now() > give_up) kill(child, SIGKILL);
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

inline int summary(const char* program) {
    printf("%s: %d passed, %d failed\n", program, passed.load(), failed.load());
    return failed ? 1 : 0;
}

}  // namespace check

#define CHECK(condition) check::that((condition), #condition, __FILE__, __LINE__)
