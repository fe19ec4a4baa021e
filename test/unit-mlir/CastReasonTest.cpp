// The text of a cast's reason, there and back.
#include "IR/CastReason.h"

#include <gtest/gtest.h>

using namespace graphc::layer;

TEST(CastReason, readsWhatItWrites) {
  CastReason reason{"compute=bf16", "layers.0.ffn.gate", ""};
  EXPECT_EQ(reason.text(), "compute=bf16 layers.0.ffn.gate");
  reason.addPass("layer-materialize-casts");
  reason.addPass("layer-fold-casts");
  reason.addPass("layer-fold-casts"); // twice in a row is once
  EXPECT_EQ(reason.text(), "compute=bf16 layers.0.ffn.gate by materialize-casts+fold-casts");
  const auto read = parseCastReason(reason.text());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->setting, "compute=bf16");
  EXPECT_EQ(read->layer, "layers.0.ffn.gate");
  EXPECT_EQ(read->passes, "materialize-casts+fold-casts");
}

TEST(CastReason, takesNamesOfAnyKind) {
  const auto read = parseCastReason("output=f32 built by hand by fold-casts");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->layer, "built by hand");
  EXPECT_EQ(read->passes, "fold-casts");
  EXPECT_EQ(parseCastReason("pin=bf16 a.keys")->passes, "");
}

TEST(CastReason, refusesTextWithoutALayer) {
  EXPECT_FALSE(parseCastReason(""));
  EXPECT_FALSE(parseCastReason("compute=bf16"));
  EXPECT_FALSE(parseCastReason("compute=bf16 "));
}
