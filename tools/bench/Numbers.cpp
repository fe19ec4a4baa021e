// printf's formats, since C++20's are missing from the oldest library that builds
// graphc.
#include "tools/bench/Numbers.h"

#include <cstdarg>
#include <cstdio>

namespace graphc::bench {

std::string format(const char *pattern, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(line, sizeof line, pattern, arguments);
  va_end(arguments);
  return line;
}

std::string duration(double seconds) {
  return seconds < 1 ? format("%.1f ms", seconds * 1e3) : format("%.2f s", seconds);
}

std::string mebibytes(double bytes) { return format("%.0f MiB", bytes / (1 << 20)); }

std::string counted(long long count, const char *noun) {
  return format("%lld %s%s", count, noun, count == 1 ? "" : "s");
}

} // namespace graphc::bench
