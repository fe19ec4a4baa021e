// Fuzzes the header of a saved cache. An accepted one has exactly the rows that it
// speaks of, and survives the way through text.
#include "Runtime/SavedCache.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view file(reinterpret_cast<const char *>(data), size);
  auto cache = graphc::parseSavedCache(file, "fuzz");
  if (!cache.ok())
    return 0;
  const uint64_t rows = cache->rowBytes();
  if (rows > size)
    std::abort();
  const std::string again = cache->header() + std::string(file.substr(size - rows));
  auto parsed = graphc::parseSavedCache(again, "fuzz");
  if (!parsed.ok() || !(*parsed == *cache))
    std::abort();
  return 0;
}
