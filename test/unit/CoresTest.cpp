// Quotas of control groups, in a hierarchy of plain files.
#include "Runtime/Cores.h"

#include "Support/File.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <memory>

namespace graphc {

namespace {
class Quotas : public ::testing::Test {
protected:
  void SetUp() override {
    std::filesystem::remove_all(root);
    std::filesystem::create_directories(root + "/a/b");
  }
  void limit(const std::string &group, const std::string &text) {
    ASSERT_TRUE(writeFileAtomically(root + group + "/cpu.max", {text}).ok());
  }
  const std::string root = ::testing::TempDir() + "graphc-cores-test";
};
} // namespace

TEST_F(Quotas, areThoseOfTheGroupAndOfAllAroundIt) {
  EXPECT_EQ(quotaCores(root, "/a/b"), INT64_MAX);
  limit("/a/b", "max 100000\n");
  EXPECT_EQ(quotaCores(root, "/a/b"), INT64_MAX);
  limit("/a", "400000 100000\n");
  EXPECT_EQ(quotaCores(root, "/a/b"), 4);
  limit("/a/b", "200000 100000\n");
  EXPECT_EQ(quotaCores(root, "/a/b"), 2);
  limit("", "100000 100000\n");
  EXPECT_EQ(quotaCores(root, "/a/b"), 1);
  EXPECT_EQ(quotaCores(root, "/"), 1);
}

TEST_F(Quotas, countAPartOfACoreAsOne) {
  limit("/a", "150000 100000\n");
  EXPECT_EQ(quotaCores(root, "/a"), 2);
  limit("/a", "5000 100000\n");
  EXPECT_EQ(quotaCores(root, "/a"), 1);
}

TEST_F(Quotas, thatCannotBeReadAreNone) {
  limit("/a", "");
  EXPECT_EQ(quotaCores(root, "/a"), INT64_MAX);
  limit("/a", "-1 100000\n");
  EXPECT_EQ(quotaCores(root, "/a"), INT64_MAX);
  EXPECT_EQ(quotaCores(root, "/none"), INT64_MAX);
}

TEST(Cores, areAtLeastOne) { EXPECT_GE(availableCores(), 1); }

TEST(CoreShare, dividesCoresAmongStepsThatRunAtOnce) {
  int64_t a = 1, b = 1, c = 1;
  EXPECT_EQ(CoreShare(8, a).cores, 8);
  {
    const CoreShare first(8, a);
    EXPECT_EQ(first.cores, 8);
    {
      const CoreShare second(8, b), third(8, c);
      EXPECT_EQ(second.cores, 4);
      EXPECT_EQ(third.cores, 2);
    }
    EXPECT_EQ(CoreShare(1, b).cores, 1);
  }
  EXPECT_EQ(a, 1); // the others were gone by then
}

TEST(CoreShare, remembersWhoRanBeside) {
  int64_t a = 1, b = 1;
  {
    const CoreShare other(8, b);
    EXPECT_EQ(CoreShare(8, a).cores, 4);
  }
  EXPECT_EQ(CoreShare(8, a).cores, 4); // the other may be between two steps
  EXPECT_EQ(CoreShare(8, a).cores, 8); // it is not
  auto other = std::make_unique<CoreShare>(8, b);
  auto last = std::make_unique<CoreShare>(8, a);
  other.reset();
  last.reset();
  EXPECT_EQ(CoreShare(8, a).cores, 4);
}

} // namespace graphc
