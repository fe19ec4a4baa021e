// compare finds the errors that a policy makes, of the size they have, in the layer
// that makes them.
#include "Fixture.h"
#include "Reference/Parameters.h"
#include "Support/Safetensors.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

using namespace graphc;
using namespace graphc::system_test;

static Comparison compareFixture(const std::string &fixture, const std::string &types, const std::string &pin,
                                 const std::string &referenceWeights = {}) {
  CompareOptions options;
  options.compile.policy = {types};
  options.compile.pins = {pin};
  options.weights = folderOf(fixture);
  options.referenceWeights = referenceWeights;
  options.prompts = {readGolden(fixture).prompts[0], {3, 1, 4}};
  options.newTokens = 4;
  auto result = compare(folderOf(fixture), options);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : Comparison();
}

static const ValueError &valueOf(const Comparison &comparison, const std::string &name) {
  const auto found = std::ranges::find(comparison.values, name, &ValueError::name);
  EXPECT_NE(found, comparison.values.end()) << name << "\n" << comparison.text();
  return found == comparison.values.end() ? comparison.values.front() : *found;
}

class Compare : public testing::TestWithParam<const char *> {};

TEST_P(Compare, f32ErrsByRoundingAloneAndBf16ByMore) {
  const Comparison f32 = compareFixture(GetParam(), "compute=f32", "f32"), bf16 = compareFixture(GetParam(), "compute=bf16,output=f32", "bf16");
  ASSERT_FALSE(f32.values.empty());
  // 8 times the f32-f64 error of models of this size (docs/Numerics.md, goldens).
  for (const ValueError &value : f32.values)
    EXPECT_LE(value.relativeError(), 8 * 1e-6) << value.name;
  EXPECT_EQ(f32.agreeing, f32.positions);
  EXPECT_TRUE(f32.check(8e-6, 1e-9).ok()) << f32.check(8e-6, 1e-9);
  // bf16 keeps 8 bits: errors of 2^-9 and more in every layer that computes.
  for (const char *name : {"language_modeling_head", "cache.0.keys", "cache.0.values"}) {
    EXPECT_GT(valueOf(bf16, name).relativeError(), 0x1p-10) << name;
    EXPECT_LT(valueOf(bf16, name).relativeError(), 0.5) << name;
    EXPECT_LT(valueOf(bf16, name).cosine, valueOf(f32, name).cosine);
  }
  EXPECT_GT(bf16.meanKl, f32.meanKl);
  EXPECT_GE(bf16.maxKl, bf16.meanKl);
  EXPECT_EQ(bf16.check(8e-6, 1).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(bf16.check(1, 0).code(), absl::StatusCode::kAborted);
  const size_t prompts = readGolden(GetParam()).prompts[0].size() + 3;
  EXPECT_EQ(bf16.positions, int64_t(prompts + 2 * 3)); // of each new token but the last
  EXPECT_EQ(bf16.tokens.size(), 2u);
  EXPECT_EQ(bf16.tokens[0].size(), 4u);
}

INSTANTIATE_TEST_SUITE_P(Models, Compare, testing::Values("llama/mha", "gpt2/gelu_new"),
                         [](const auto &info) { return testName({info.param, 0}); });

/// A copy of the fixture's folder in which one element of `tensor` is another number.
static std::string mutated(const std::string &fixture, const std::string &tensor) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / ("graphc-compare-" + std::to_string(::getpid()));
  fs::remove_all(folder);
  fs::copy(folderOf(fixture), folder);
  int64_t offset = 0;
  {
    auto checkpoint = Checkpoint::open(folder);
    const TensorInfo *info = checkpoint->find(tensor);
    EXPECT_TRUE(info && info->dtype == DType::F32) << tensor;
    const auto first = std::ranges::min_element(checkpoint->tensors(), {}, &TensorInfo::data);
    offset = info->data - first->data;
  }
  std::fstream file(folder / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  uint64_t header = 0;
  file.read(reinterpret_cast<char *>(&header), sizeof header);
  file.seekp(std::streamoff(8 + header) + offset);
  const float other = 25;
  file.write(reinterpret_cast<const char *>(&other), sizeof other);
  return folder.string();
}

TEST(CompareMutations, aWrongReferenceShowsFromTheLayerThatIsWrong) {
  const std::string folder = mutated("llama/mha", "model.layers.1.mlp.up_proj.weight");
  const Comparison comparison = compareFixture("llama/mha", "compute=f32", "f32", folder);
  std::filesystem::remove_all(folder);
  bool wrong = false;
  std::string first;
  for (const ValueError &value : comparison.values) {
    if (!wrong && value.relativeError() > 1e-3)
      wrong = true, first = value.name;
    if (value.name.starts_with("layers.0.") || value.name == "cache.0.keys" || value.name == "cache.1.values")
      EXPECT_LE(value.relativeError(), 8e-6) << value.name; // before it, and the cache it cannot reach
  }
  EXPECT_TRUE(first.starts_with("layers.1.ffn.")) << "first wrong value: " << first << "\n" << comparison.text();
  EXPECT_GT(comparison.maxKl, 1e-6);
}

/// An f16 pin that overflows is counted, and breaks every contract.
TEST(CompareMutations, infinitiesOfAnF16PinAreCounted) {
  namespace fs = std::filesystem;
  const Comparison none = compareFixture("llama/mha", "compute=bf16,output=f32", "f16");
  for (const ValueError &value : none.values)
    EXPECT_EQ(value.infinities + value.nans, 0) << value.name;
  // The same weights as a reference whose own values are 2^20 times larger are of no
  // use here: the compiled model itself must overflow.
  const fs::path folder = fs::temp_directory_path() / ("graphc-overflow-" + std::to_string(::getpid()));
  fs::remove_all(folder);
  fs::copy(folderOf("llama/mha"), folder);
  std::vector<std::pair<int64_t, int64_t>> ranges; // of value kernels: offset and count
  {
    auto checkpoint = Checkpoint::open(folder.string());
    const auto first = std::ranges::min_element(checkpoint->tensors(), {}, &TensorInfo::data);
    for (const TensorInfo &tensor : checkpoint->tensors())
      if (tensor.name.find("v_proj.weight") != tensor.name.npos)
        ranges.emplace_back(tensor.data - first->data, int64_t(tensor.bytes / 4));
  }
  {
    std::fstream file(folder / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    uint64_t header = 0;
    file.read(reinterpret_cast<char *>(&header), sizeof header);
    for (const auto &[offset, count] : ranges)
      for (int64_t i = 0; i < count; ++i) {
        const std::streamoff at = std::streamoff(8 + header) + offset + 4 * i;
        float weight = 0;
        file.seekg(at).read(reinterpret_cast<char *>(&weight), 4);
        weight *= 0x1p18f;
        file.seekp(at).write(reinterpret_cast<const char *>(&weight), 4);
      }
  }
  CompareOptions options;
  options.compile.policy = {"compute=bf16,output=f32"};
  options.compile.pins = {"k=bf16,v=f16"};
  options.weights = folder.string();
  options.prompts = {{1, 2, 3}};
  options.newTokens = 1;
  auto overflowed = compare(folder.string(), options);
  fs::remove_all(folder);
  ASSERT_TRUE(overflowed.ok()) << overflowed.status();
  EXPECT_GT(valueOf(*overflowed, "cache.0.values").infinities, 0);
  EXPECT_EQ(valueOf(*overflowed, "cache.0.keys").infinities, 0);
  const absl::Status broken = overflowed->check(1e30, std::numeric_limits<double>::infinity());
  EXPECT_EQ(broken.code(), absl::StatusCode::kAborted) << broken;
}
