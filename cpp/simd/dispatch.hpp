// Which instruction sets this build and this processor have, and which one is in use.
#pragma once

#include <string>
#include <vector>

#include "loop/call.hpp"

namespace elman {

/// Usable sets, the best first.
std::vector<const Kernels*> available_kernels();

/// The set in use: the best one, or the one the environment variable ELMAN_ISA names. Throws std::invalid_argument if
/// that one is not available.
const Kernels& kernels();

/// Uses the set of that name from now on. Throws std::invalid_argument if it is not available. Not while calls run.
void select_kernels(const std::string& name);

}  // namespace elman
