// The parts of the page of `graphc explain --html`, as lib/Compiler/explain has
// them; the build embeds them.
#pragma once

#include <string_view>

namespace graphc {

/// Holds {{style}}, {{data}} and {{script}}, once each.
extern const std::string_view kPageHtml;
extern const std::string_view kPageStyle;
extern const std::string_view kPageScript;

} // namespace graphc
