// The Python module elman._core: checks what it is given, releases the GIL, calls the kernels.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

namespace nb = nanobind;

NB_MODULE(_core, module) {
    module.doc() = "The compiled kernels of elman.";
    module.def("compiler", []() { return std::string(__VERSION__); }, "The compiler that built this module.");
}
