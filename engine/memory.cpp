#include "engine/memory.h"
#include <cstdlib>
namespace ww { void* memory_allocate(size_t b){return aligned_alloc(64,(b+63)/64*64);} void memory_free(void*p){free(p);} void memory_release_cached(){} void memory_reset_peak(){} void memory_set_poison(bool){} bool memory_poison(){return false;} MemoryStats memory_stats(){return {};} }
