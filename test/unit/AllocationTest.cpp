// A forward allocates nothing: every global new of this program is counted.
#include "graphc/Runtime.h"

#include <atomic>
#include <cstdlib>
#include <gtest/gtest.h>
#include <new>

static std::atomic<long> allocations;

void *operator new(size_t size) {
  ++allocations;
  if (void *memory = std::malloc(size))
    return memory;
  throw std::bad_alloc();
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }

using namespace graphc;

TEST(Session, forwardAllocatesNothing) {
  auto executable = Executable::load(GRAPHC_TEST_ARTEFACT);
  ASSERT_TRUE(executable.ok()) << executable.status();
  auto session = *Session::create(*Model::open(*executable, ""), {.batch = 2, .chunk = 4});
  const int32_t prompt[] = {1, 2, 3, 4, 5, 6, 7}, next[] = {3};
  const NewTokens prompts[] = {{0, prompt}, {1, next}}, step[] = {{0, next}, {1, next}};
  const long before = allocations;
  bool ok = session->forward(prompts).ok();
  for (int i = 0; i < 20; ++i)
    ok &= session->forward(step).ok();
  const long after = allocations;
  EXPECT_TRUE(ok);
  EXPECT_EQ(after, before);
  EXPECT_GT(before, 0); // the count counts
}
