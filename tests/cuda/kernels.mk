# The kernels that ship as a `_cudasim` under a sanitizer, for sanitized_kernels.py. Not instrumented, and shared by both: the binding
# and the registry, in OUT/../engine. ASan's are not optimised, which halves their compilation and is nothing beside it in the run.
#   make -f kernels.mk SANITIZE=address|thread OUT=folder PYTHON=python
# With ONLY="matmul/*.cu ..." these kernels alone; without SANITIZE, with a cross compiler as CXX and its SUFFIX and INCLUDES, for
# another processor (.ci/aarch64).
include Makefile
PYTHON ?= python3
ONLY ?= */*.cu
KERNELS := $(patsubst $(ROOT)/%.cu,$(OUT)/%.o,$(wildcard $(addprefix $(ROOT)/kernels/,$(ONLY))))
ENGINE := registry signature library module
SUFFIX ?= $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
MODULE := $(OUT)/_cudasim$(SUFFIX)
INCLUDES ?= $(shell $(PYTHON) -m pybind11 --includes)
LAUNCHER ?= $(CMAKE_CXX_COMPILER_LAUNCHER)
.DEFAULT_GOAL := $(MODULE)

$(OUT)/kernels/%.o: $(ROOT)/kernels/%.cu
	@mkdir -p $(dir $@)
	$(LAUNCHER) $(CXX) $(KERNEL_FLAGS) $(if $(findstring address,$(SANITIZE)),-O0,-O1) -g1 -fno-math-errno -fno-trapping-math -fvisibility=hidden -Wno-unknown-pragmas \
	  -Wno-unused-parameter -MD -x c++ -c $< -o $@
$(ENGINE:%=$(OUT)/../engine/%.o): $(OUT)/../engine/%.o: $(ROOT)/engine/%.cpp $(HEADERS)
	@mkdir -p $(dir $@)
	$(LAUNCHER) $(CXX) $(FLAGS) -O1 -g0 -fvisibility=hidden -DWW_MODULE=_cudasim -DWW_CUDASIM $(INCLUDES) -c $< -o $@
$(MODULE): $(OBJECTS) $(KERNELS) $(ENGINE:%=$(OUT)/../engine/%.o)
	$(CXX) -shared $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $^ -ldl -pthread -o $@

-include $(KERNELS:.o=.d)
