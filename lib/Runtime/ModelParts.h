// What a Model holds.
#pragma once

#include "Runtime/Weights.h"
#include "graphc/Runtime.h"

#include <memory>
#include <string>

namespace graphc {

struct Model::Parts {
  std::shared_ptr<const Executable> executable;
  Weights weights;
  std::string folder;
};

} // namespace graphc
