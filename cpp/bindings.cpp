// The Python module elman._core: raw entries on addresses. They trust their callers (elman.kernels for NumPy arrays,
// elman.nn for tensors), which check shapes, dtypes, strides and lengths first; cpp/loop/call.hpp is the contract.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "loop/buffers.hpp"
#include "loop/call.hpp"
#include "loop/stream.hpp"
#include "simd/dispatch.hpp"

namespace nb = nanobind;
using elman::Call;
using elman::Index;

namespace {

using Address = std::uintptr_t;

template <class T = void>
T* pointer(Address address) {
    return reinterpret_cast<T*>(address);
}

constexpr const char* cell_names[elman::cell_count] = {"rnn", "rnn_relu", "lstm", "gru", "gru_reset_before"};

elman::Cell cell_of(const char* name) {
    for (int n = 0; n < elman::cell_count; ++n)
        if (std::strcmp(name, cell_names[n]) == 0) return static_cast<elman::Cell>(n);
    throw std::invalid_argument(std::string("no compiled cell named '") + name + "'");
}

/// bfloat16 means float32 arrays whose products may round their operands.
bool is_narrow(const char* dtype) {
    return std::strcmp(dtype, "bfloat16") == 0;
}

elman::Dtype dtype_of(const char* name) {
    if (std::strcmp(name, "float32") == 0 || is_narrow(name)) return elman::Dtype::float32;
    if (std::strcmp(name, "float64") == 0) return elman::Dtype::float64;
    throw std::invalid_argument(std::string("no compiled kernels for dtype '") + name + "'");
}

/// Five addresses for each direction: w_ih, w_hh, b_ih, b_hh, w_hr.
template <class Five>
int read_directions(nb::handle addresses, Five* directions) {
    const std::size_t n = nb::len(addresses);
    if (n != 5 && n != 10) throw std::invalid_argument("expected 5 addresses for each of 1 or 2 directions");
    using Pointer = decltype(directions[0].w_ih);
    for (std::size_t d = 0; d < n / 5; ++d) {
        const auto at = [&](std::size_t k) {
            return reinterpret_cast<Pointer>(nb::cast<Address>(addresses[d * 5 + k]));
        };
        directions[d] = {at(0), at(1), at(2), at(3), at(4)};
    }
    return static_cast<int>(n / 5);
}

void* read_reserve(Address address) {
    if (address % 64) throw std::invalid_argument("expected a reserve at a multiple of 64 bytes");
    return pointer(address);
}

void forward(const char* cell, const char* dtype, Index steps, Index batch, Index input, Index hidden, Index output,
             Address x, Index x_step, Index x_row, Address symbols, nb::tuple parameters, Address h_0, Address c_0,
             Address lengths, Address out, Index out_step, Index out_row, Address h_n, Address c_n, Address reserve,
             int threads) {
    Call call{};
    call.cell = cell_of(cell);
    call.dtype = dtype_of(dtype), call.narrow = is_narrow(dtype);
    call.steps = steps, call.batch = batch, call.input = input, call.hidden = hidden, call.output = output;
    call.threads = threads;
    call.x = pointer(x), call.symbols = pointer<const std::int64_t>(symbols);
    call.x_step = x_step, call.x_row = x_row;
    call.directions = read_directions(parameters, call.parameters);
    call.h_0 = pointer(h_0), call.c_0 = pointer(c_0);
    call.lengths = pointer<const std::int64_t>(lengths);
    call.out = pointer(out), call.out_step = out_step, call.out_row = out_row;
    call.h_n = pointer(h_n), call.c_n = pointer(c_n), call.reserve = read_reserve(reserve);
    const elman::Kernels& set = elman::kernels();
    nb::gil_scoped_release release;
    set.forward(call);
}

void backward(const char* cell, const char* dtype, Index steps, Index batch, Index input, Index hidden, Index output,
              Address x, Index x_step, Index x_row, Address symbols, nb::tuple parameters, Address lengths,
              Address grad_out, Index grad_out_step, Index grad_out_row, Index grad_out_feature, Address grad_h_n,
              Address grad_c_n, Address reserve, Address grad_x, Index grad_x_step, Index grad_x_row, Address grad_h_0,
              Address grad_c_0, nb::tuple gradients, int threads) {
    Call call{};
    call.cell = cell_of(cell);
    call.dtype = dtype_of(dtype), call.narrow = is_narrow(dtype);
    call.steps = steps, call.batch = batch, call.input = input, call.hidden = hidden, call.output = output;
    call.threads = threads;
    call.x = pointer(x), call.symbols = pointer<const std::int64_t>(symbols);
    call.x_step = x_step, call.x_row = x_row;
    call.directions = read_directions(parameters, call.parameters);
    call.lengths = pointer<const std::int64_t>(lengths);
    call.grad_out = pointer(grad_out);
    call.grad_out_step = grad_out_step, call.grad_out_row = grad_out_row, call.grad_out_feature = grad_out_feature;
    call.grad_h_n = pointer(grad_h_n), call.grad_c_n = pointer(grad_c_n), call.reserve = read_reserve(reserve);
    call.grad_x = pointer(grad_x), call.grad_x_step = grad_x_step, call.grad_x_row = grad_x_row;
    call.grad_h_0 = pointer(grad_h_0), call.grad_c_0 = pointer(grad_c_0);
    if (read_directions(gradients, call.gradients) != call.directions)
        throw std::invalid_argument("parameters and gradients have different numbers of directions");
    const elman::Kernels& set = elman::kernels();
    nb::gil_scoped_release release;
    set.backward(call);
}

/// The sizes alone, for questions that need no data.
Call sizes(const char* cell, const char* dtype, Index steps, Index batch, Index input, Index hidden, Index output,
           int directions, int threads) {
    static const char present = 0;
    Call call{};
    call.cell = cell_of(cell);
    call.dtype = dtype_of(dtype), call.narrow = is_narrow(dtype);
    call.steps = steps, call.batch = batch, call.input = input, call.hidden = hidden, call.output = output;
    call.directions = directions, call.threads = threads;
    if (output != hidden) call.parameters[0].w_hr = &present;
    return call;
}

nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>> buffer(std::size_t bytes) {
    void* memory = elman::lend_buffer(bytes);
    const nb::capsule owner(memory, [](void* p) noexcept { elman::return_buffer(p); });
    return {memory, {bytes}, owner};
}

/// A stream and the one array its single step writes to.
class PyStream {
public:
    PyStream(const char* cell, const char* dtype, const char* storage, Index layers, Index input, Index hidden,
             Index output, Index states, bool symbols, nb::tuple addresses, Address single)
        : input_(input), single_(pointer(single)), wide_(std::strcmp(dtype, "float64") == 0) {
        std::vector<elman::Parameters> parameters(static_cast<std::size_t>(layers));
        for (std::size_t l = 0; l < parameters.size(); ++l) {
            const auto at = [&](std::size_t k) { return pointer<const void>(nb::cast<Address>(addresses[l * 5 + k])); };
            parameters[l] = {at(0), at(1), at(2), at(3), at(4)};
        }
        const elman::Storage stored = std::strcmp(storage, "int8") == 0       ? elman::Storage::int8
                                      : std::strcmp(storage, "bfloat16") == 0 ? elman::Storage::bfloat16
                                                                              : elman::Storage::exact;
        stream_.reset(elman::kernels().make_stream({cell_of(cell), dtype_of(dtype), stored, layers, input, hidden,
                                                    output, states, symbols, parameters.data()}));
    }

    /// One step of sequence 0 if x is a dense array (I,) of the stream's dtype; false, and nothing done, if it is not.
    bool step_vector(nb::handle x) {
        Py_buffer view;
        if (PyObject_GetBuffer(x.ptr(), &view, PyBUF_ND | PyBUF_FORMAT) != 0) {
            PyErr_Clear();
            return false;
        }
        const bool fits = view.ndim == 1 && view.shape[0] == input_ && view.format && !view.format[1] &&
                          view.format[0] == (wide_ ? 'd' : 'f');
        if (fits) stream_->step(1, nullptr, view.buf, nullptr, single_);
        PyBuffer_Release(&view);
        return fits;
    }

    void step_symbol(std::int64_t symbol) { stream_->step(1, nullptr, nullptr, &symbol, single_); }

    void step(Index n, Address rows, Address x, Address symbols, Address out) {
        const nb::gil_scoped_release release;
        stream_->step(n, pointer<const std::int64_t>(rows), pointer(x), pointer<const std::int64_t>(symbols),
                      pointer(out));
    }

    void get_state(Address h, Address c) const { stream_->get_state(pointer(h), pointer(c)); }
    void set_state(Address h, Address c) { stream_->set_state(pointer(h), pointer(c)); }

private:
    Index input_;
    void* single_;
    bool wide_;
    std::unique_ptr<elman::Stream> stream_;
};

}  // namespace

NB_MODULE(_core, module) {
    module.doc() = "The compiled kernels of elman; cpp/loop/call.hpp is the contract of every argument.";
    module.def("compiler", []() { return std::string(__VERSION__); }, "The compiler that built this module.");
    module.def("forward", &forward, "One layer forward; writes out, h_n, c_n and reserve.");
    module.def("backward", &backward, "One layer backward; writes every gradient whose address is not 0.");
    module.def(
        "reserve_size",
        [](const char* cell, const char* dtype, Index steps, Index batch, Index hidden, Index output, int directions) {
            return elman::kernels().reserve_bytes(sizes(cell, dtype, steps, batch, 0, hidden, output, directions, 1));
        },
        "Bytes of the reserve that forward fills for backward.");
    module.def("buffer", &buffer, "Memory for a reserve, 64-byte aligned, reused when its array is gone.");
    module.def(
        "thread_count",
        [](const char* cell, const char* dtype, Index steps, Index batch, Index input, Index hidden, Index output,
           int threads) {
            return elman::kernels().threads(sizes(cell, dtype, steps, batch, input, hidden, output, 1, threads));
        },
        "Threads a forward call of this size takes, of at most `threads`.");
    module.def(
        "cell_info",
        [](const char* cell) {
            const elman::CellInfo info = elman::kernels().info(cell_of(cell));
            return std::make_tuple(info.gates, info.states);
        },
        "Gates and states of a compiled cell.");
    module.def(
        "cells", []() { return std::vector<std::string>(cell_names, cell_names + elman::cell_count); },
        "Names of the compiled cells.");
    module.def(
        "narrow", []() { return elman::kernels().narrow(); },
        "Whether this processor multiplies bfloat16 faster than float32, on the instruction set in use.");
    module.def("isa", []() { return std::string(elman::kernels().name); }, "The instruction set in use.");
    module.def(
        "isas",
        []() {
            std::vector<std::string> names;
            for (const elman::Kernels* set : elman::available_kernels()) names.emplace_back(set->name);
            return names;
        },
        "Instruction sets this build and processor have, the best first.");
    module.def("select_isa", &elman::select_kernels, "Use another instruction set from now on, in all threads.");
    module.def(
        "pointwise",
        [](const char* function, const char* dtype, Address in, Address out, Index n) {
            elman::kernels().pointwise(std::strcmp(function, "tanh") == 0, dtype_of(dtype), pointer(in), pointer(out),
                                       n);
        },
        "sigmoid or tanh of n values (whole vectors only), for tests of their error.");
    nb::class_<PyStream>(module, "Stream", "Layers with packed weights and states inside; cpp/loop/stream.hpp.")
        .def(nb::init<const char*, const char*, const char*, Index, Index, Index, Index, Index, bool, nb::tuple,
                      Address>())
        .def("step_vector", &PyStream::step_vector)
        .def("step_symbol", &PyStream::step_symbol)
        .def("step", &PyStream::step)
        .def("get_state", &PyStream::get_state)
        .def("set_state", &PyStream::set_state);
}
