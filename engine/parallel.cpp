#include "engine/parallel.h"
namespace ww { int num_threads(){return 1;} void set_num_threads(int){} namespace detail { void parallel_for(int64_t n,int64_t,void(*b)(void*,int64_t,int64_t),void*c){b(c,0,n);} } }
