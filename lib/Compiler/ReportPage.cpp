// One file with everything in it. The report is data in the page, never markup:
// no character of it can end the element that holds it, and the script puts it
// into the page as text.
#include "Compiler/Explainer.h"
#include "Compiler/PageParts.h"

using nlohmann::json;

namespace graphc {

/// JSON that is also harmless within <script>: '<', '>' and '&' only occur in
/// strings, where they may be escaped.
static std::string scriptSafe(const json &value) {
  std::string safe;
  for (char c : value.dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace))
    switch (c) {
    case '<': safe += "\\u003c"; break;
    case '>': safe += "\\u003e"; break;
    case '&': safe += "\\u0026"; break;
    default: safe += c;
    }
  return safe;
}

std::string reportPage(const json &report, const json &graphs) {
  std::string page;
  std::string_view rest = kPageHtml;
  const std::string data = scriptSafe({{"report", report}, {"graphs", graphs}});
  for (auto [mark, text] : {std::pair<std::string_view, std::string_view>("{{style}}", kPageStyle), {"{{data}}", data}, {"{{script}}", kPageScript}}) {
    const size_t at = rest.find(mark);
    page.append(rest.substr(0, at)).append(text);
    rest.remove_prefix(at + mark.size());
  }
  return page.append(rest);
}

} // namespace graphc
