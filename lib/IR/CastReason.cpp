// A layer's name may hold anything, so passes are read from the end of the text
// and the setting from its start.
#include "IR/CastReason.h"

namespace graphc::layer {

static constexpr llvm::StringLiteral kBy = " by ";

std::string CastReason::text() const {
  return setting + " " + layer + (passes.empty() ? "" : kBy.str() + passes);
}

void CastReason::addPass(llvm::StringRef flag) {
  flag.consume_front("layer-");
  if (llvm::StringRef(passes).rsplit('+').second != flag && passes != flag)
    passes += (passes.empty() ? "" : "+") + flag.str();
}

std::optional<CastReason> parseCastReason(llvm::StringRef text) {
  auto [setting, rest] = text.split(' ');
  if (setting.empty() || rest.empty())
    return std::nullopt;
  const size_t by = rest.rfind(kBy);
  if (by == llvm::StringRef::npos)
    return CastReason{setting.str(), rest.str(), ""};
  return CastReason{setting.str(), rest.take_front(by).str(), rest.drop_front(by + kBy.size()).str()};
}

} // namespace graphc::layer
