// Each PTX instruction in use, behind one wrapper: the instruction under nvcc, its emulation in the simulator. Every wrapper has a
// conformance test in tests/cuda that runs in both worlds.
#pragma once

#include "engine/cuda/ptx/async_copy.cuh"
#include "engine/cuda/ptx/barrier.cuh"
#include "engine/cuda/ptx/matrix.cuh"
#include "engine/cuda/ptx/storage.cuh"
#include "engine/cuda/ptx/wgmma.cuh"
