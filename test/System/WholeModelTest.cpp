// Numerics T6: the logits of a compiled bf16 model differ from policy-exact ones
// by at most three times what other orders of summation make of them. A smoke
// test: kernel by kernel is where errors are found (KernelsTest.cpp).
#include "Compiler/Evaluate.h"
#include "Fixture.h"

#include <algorithm>
#include <cmath>

using namespace graphc;
using namespace graphc::system_test;

namespace {

class WholeModel : public testing::TestWithParam<std::string> {
protected:
  WholeModel() {
    compile.policy = {"compute=bf16,output=f32"};
    compile.pins = {"bf16"};
  }

  /// (ids, vocab), by the interpreter.
  std::vector<float> evaluated(const Ids &ids, std::optional<uint64_t> order) {
    EvaluateOptions options;
    options.compile = compile;
    options.permuted = order.has_value();
    options.orderSeed = order.value_or(0);
    options.weights = folderOf(GetParam());
    options.prompts = {ids};
    options.keepLogits = true;
    auto result = evaluate(folderOf(GetParam()), nullptr, options);
    EXPECT_TRUE(result.ok()) << result.status();
    return result->logits.values;
  }

  static double distance(const std::vector<float> &a, const std::vector<float> &b) {
    EXPECT_EQ(a.size(), b.size());
    double most = 0;
    for (size_t i = 0; i < a.size(); ++i)
      most = std::max(most, std::fabs(double(a[i]) - b[i]));
    return most;
  }

  CompileOptions compile;
};

TEST_P(WholeModel, errorIsThatOfOtherOrders) {
  const Golden golden = readGolden(GetParam());
  const auto model = openModel(compileFixture(GetParam(), compile), GetParam());
  double compiledError = 0, orderError = 0;
  for (const Ids &prompt : golden.prompts) {
    const std::vector<float> exact = evaluated(prompt, std::nullopt);
    auto session = openSession(model, {.capacity = golden.sessionLength, .logitRows = int64_t(prompt.size())});
    compiledError = std::max(compiledError, distance(logitsOf(*session, 0, prompt), exact));
    for (uint64_t order = 0; order < 8; ++order)
      orderError = std::max(orderError, distance(evaluated(prompt, order), exact));
  }
  EXPECT_GT(orderError, 0) << "orders that change nothing bound nothing";
  EXPECT_LE(compiledError, 3 * orderError) << compiledError / golden.range << " of the range";
  RecordProperty("compiled", std::to_string(compiledError / golden.range));
  RecordProperty("orders", std::to_string(orderError / golden.range));
}

INSTANTIATE_TEST_SUITE_P(Families, WholeModel, testing::Values("llama/mha", "gpt2/gelu_new"), testName);

} // namespace
