// A launch that the simulator must refuse, with the words that its error must hold.
#pragma once

#include "tests/cuda/harness.cuh"

namespace harness {

// "file:line:" of the source, as errors give it.
inline std::string place(const char* file, int line) {
    const char* slash = std::strrchr(file, '/');
    return std::string(slash ? slash + 1 : file) + ":" + std::to_string(line) + ":";
}
// The line `below` this one.
#define LINE_BELOW(below) harness::place(__FILE__, __LINE__ + (below))

inline void must_hold(const char* name, const std::string& text, const std::vector<std::string>& words, const char* schedule) {
    for (auto& word : words) {
        bool holds = text.find(word) != std::string::npos;
        check::that(holds, (std::string(name) + ": expected '" + word + "' in '" + text + "' [" + schedule + "]").c_str(), __FILE__,
                    __LINE__);
    }
}

// `words` must be in the error of a launch, which no schedule changes: the thread that fails does nothing with others.
template <class Launch>
void refused_once(const char* name, std::vector<std::string> words, Launch launch_it) {
    must_hold(name, check::text_of<ww::DeviceError>(launch_it), words, "lockstep, late");
}

// `words` must be in the error of a launch under each schedule.
template <class Launch>
void refused(const char* name, std::vector<std::string> words, Launch launch_it) {
    sweep([&](const char* schedule) { must_hold(name, check::text_of<ww::DeviceError>(launch_it), words, schedule); });
}

}  // namespace harness
