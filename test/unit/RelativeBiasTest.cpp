// Buckets of relative positions against transformers' T5Attention, for every
// distance up to and beyond max_distance.
#include "Support/Json.h"
#include "Support/RelativeBias.h"

#include <gtest/gtest.h>

using namespace graphc;

TEST(RelativeBuckets, areThoseOfTransformers) {
  const auto cases = parseJsonFile(std::string(GRAPHC_TEST_DIR) + "/models/relative/bucket_golden.json");
  ASSERT_TRUE(cases.ok()) << cases.status();
  ASSERT_FALSE(cases->empty());
  for (const auto &entry : *cases) {
    const RelativeBuckets buckets{entry["count"].get<int64_t>(), entry["max_distance"].get<int64_t>(),
                                  entry["bidirectional"].get<bool>()};
    ASSERT_TRUE(buckets.areValid());
    int64_t distance = entry["first"].get<int64_t>();
    for (const auto &run : entry["runs"])
      for (int64_t i = 0; i < run[1].get<int64_t>(); ++i, ++distance)
        ASSERT_EQ(buckets.bucket(distance), run[0].get<int64_t>())
            << buckets.count << " buckets, max_distance " << buckets.maxDistance << ", distance " << distance;
  }
}

TEST(RelativeBuckets, needTwoADirectionAndRoomBeyondTheExactOnes) {
  EXPECT_TRUE((RelativeBuckets{4, 2, true}.areValid()));
  EXPECT_FALSE((RelativeBuckets{2, 8, true}.areValid()));  // one a direction
  EXPECT_FALSE((RelativeBuckets{5, 8, true}.areValid()));  // odd
  EXPECT_FALSE((RelativeBuckets{8, 4, false}.areValid())); // the exact ones reach 4
  EXPECT_TRUE((RelativeBuckets{8, 5, false}.areValid()));
}
