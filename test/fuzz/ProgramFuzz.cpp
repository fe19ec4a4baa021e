// Fuzzes the manifest of a compiled program. An accepted one must survive the
// way through text, and planning its memory must not overflow or allocate.
#include "Support/MemoryPlan.h"
#include "Support/Program.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto program = graphc::parseProgram({reinterpret_cast<const char *>(data), size}, "fuzz");
  if (!program.ok())
    return 0;
  auto again = graphc::parseProgram(graphc::programText(*program), "fuzz");
  if (!again.ok() || !(*again == *program))
    std::abort();
  if (auto plan = graphc::planMemory(*program, {.batch = 3}); plan.ok())
    (void)plan->text();
  return 0;
}
