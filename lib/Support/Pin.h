// Pin rules, the text behind --pin-cache:
//
//   rule  = [selector ":"] (pin | side "=" pin ("," side "=" pin)*)
//   side  = k | v
//   pin   = f32 | f16 | bf16 | int8 | f8E4M3FN | f8E5M2 | auto
//
// `bf16` pins every key and value, `k=bf16,v=f16` each side apart,
// `layers.0-3:f32` the slots of some layers. A selector is a name path; it
// selects every slot at or below it. `auto` is the attention's compute type.
#pragma once

#include "Support/DType.h"
#include "Support/Selector.h"

#include <absl/status/statusor.h>
#include <optional>
#include <string>
#include <string_view>

namespace graphc {

/// The element type of one side of a slot: a dtype, or the attention's compute
/// type if `dtype` is empty.
struct PinElement {
  std::optional<DType> dtype;
  bool isAuto() const { return !dtype; }
  bool operator==(const PinElement &) const = default;
};

struct PinRule {
  std::string text; ///< As it was written, for messages.
  Selector selector;
  std::optional<PinElement> keys, values; ///< At least one is set.
};

/// InvalidArgument for every malformed rule; the message quotes the rule.
absl::StatusOr<PinRule> parsePinRule(std::string_view text);

} // namespace graphc
