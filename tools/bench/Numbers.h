// Numbers as people read them, for the tables and the picture.
#pragma once

#include <string>

namespace graphc::bench {

/// As printf; at most 511 characters.
__attribute__((format(printf, 1, 2))) std::string format(const char *pattern, ...);
/// "12.3 ms" or "1.23 s".
std::string duration(double seconds);
std::string mebibytes(double bytes);
/// "1 thread", "2 threads".
std::string counted(long long count, const char *noun);

} // namespace graphc::bench
