// The suite: one test a property of the cache and the policy, on every subject.
#pragma once

#include "Subject.h"

namespace graphc::properties {

class Properties : public testing::TestWithParam<std::string> {
protected:
  const Subject &model() const { return subject(GetParam()); }
};

} // namespace graphc::properties
