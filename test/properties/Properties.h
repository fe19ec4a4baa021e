// The suites: one test a property of the cache and the policy, on every subject.
#pragma once

#include "Subject.h"

namespace graphc::properties {

class Properties : public testing::TestWithParam<std::string> {
protected:
  const Subject &model() const { return subject(GetParam()); }
};

/// What a model with an encoder has not: seed mode, a decoder without its cache, and
/// layers of the first names.
class DecoderProperties : public Properties {};

} // namespace graphc::properties
