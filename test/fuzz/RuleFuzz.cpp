// Policy and pin rules, and the matching of what they select: any text gives a
// rule or a message, in time that its length bounds.
#include "Support/Pin.h"
#include "Support/Policy.h"

#include <cstddef>
#include <cstdint>

using namespace graphc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  const Selectable things[] = {{"rms_norm", "layers.0.self_attention_norm"},
                               {"dense", "layers.10.ffn.gate"},
                               {"attention", text.substr(0, 64)}};
  if (auto rule = parsePolicyRule(text); rule.ok())
    (void)rule->selector.select(things);
  if (auto rule = parsePinRule(text); rule.ok())
    (void)rule->selector.select(things, /*ancestors=*/true);
  return 0;
}
