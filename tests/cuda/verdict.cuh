// The verdict on a kernel: right under every schedule, or caught with a bug in it.
#pragma once

#include "tests/cuda/harness.cuh"

inline void right(const char* name, bool (*run)()) {
    harness::sweep([&](const char* schedule) {
        std::string error;
        bool holds = false;
        try {
            holds = run();
        } catch (const ww::Error& caught) {
            error = caught.what();
        }
        check::that(holds, (std::string(name) + " is right [" + schedule + "] " + error).c_str(), __FILE__, __LINE__);
    });
}

#if !defined(__CUDACC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// At least `least` of the schedules give a wrong result or an error with `words` in it; an error without them is no catch.
inline void caught(const char* name, bool (*run)(), const char* words = "", int least = 1) {
    int wrong = 0;
    std::string texts;
    harness::sweep([&](const char*) {
        try {
            wrong += !run() && !*words;
        } catch (const ww::DeviceError& error) {
            wrong += std::string(error.what()).find(words) != std::string::npos;
            texts = error.what();
        }
    });
    printf("  %-22s caught by %2d of 24 schedules  %s\n", name, wrong, texts.substr(0, 120).c_str());
    check::that(wrong >= least, (std::string(name) + " is caught: " + texts).c_str(), __FILE__, __LINE__);
}
#define CAUGHT(run, bug, ...) caught(#bug, run<Bug::bug>, ##__VA_ARGS__)
#endif
