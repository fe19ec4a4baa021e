// Runtime/Weights: what is found, what is refused, what is made of it, and what
// the ledger says.
#include "Runtime/Weights.h"
#include "ToyProgram.h"

#include <cmath>
#include <cstring>

using namespace graphc;
using State = Residency::State;

namespace {
/// A program of parameters only.
Program programOf(std::vector<Binding> parameters) {
  Program program = toy::program();
  program.bindings = std::move(parameters);
  program.kernels.clear();
  return program;
}

Binding parameter(std::string name, std::string source, DType stored, DType dtype,
                  std::vector<DType> roundings, std::vector<int64_t> shape) {
  std::vector<Dim> dims;
  for (int64_t size : shape)
    dims.push_back(Dim::number(size));
  Binding result = Binding::of(Binding::Kind::Parameter, std::move(name), dtype, dims);
  result.source = std::move(source);
  result.stored = stored;
  result.roundings = std::move(roundings);
  return result;
}

std::string failure(const absl::Status &status) { return std::string(status.message()); }

template <typename T> std::vector<T> valuesAt(const std::byte *data, size_t count) {
  std::vector<T> values(count);
  std::memcpy(values.data(), data, count * sizeof(T));
  return values;
}

const std::vector<float> kValues = {1, -2.00390625f, 65520, 1e-8f, 3.14159274f, 0.1f};
} // namespace

TEST(Weights, usesMappedFilesInPlace) {
  const std::string folder = toy::testFolder();
  toy::writeCheckpoint(folder, {{"w", "F32", {2, 3}, toy::bytesOf(kValues)}});
  const Program program = programOf({parameter("a.kernel", "w", DType::F32, DType::F32, {}, {2, 3}),
                                     parameter("b.kernel", "w", DType::F32, DType::F32, {}, {2, 3})});
  auto weights = Weights::open(program, folder);
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(valuesAt<float>(weights->at(0), 6), kValues);
  EXPECT_EQ(weights->at(0), weights->at(1)); // tied
  EXPECT_EQ(weights->residency()[0].state, State::InPlace);
  EXPECT_EQ(weights->residency()[0].bytes, 24u);
  EXPECT_EQ(weights->residency()[1].bytes, 0u);
  EXPECT_EQ(weights->residency()[1].why, "tied to a.kernel");
}

TEST(Weights, roundsInTheOrderOfThePolicy) {
  const std::string folder = toy::testFolder();
  toy::writeCheckpoint(folder, {{"w", "F32", {2, 3}, toy::bytesOf(kValues)}});
  const Program program = programOf(
      {parameter("bf16", "w", DType::F32, DType::BF16, {DType::BF16}, {2, 3}),
       parameter("both", "w", DType::F32, DType::BF16, {DType::F16, DType::BF16}, {2, 3}),
       parameter("wide", "w", DType::F32, DType::F32, {DType::BF16}, {2, 3})});
  auto weights = Weights::open(program, folder);
  ASSERT_TRUE(weights.ok()) << weights.status();
  const auto bf16 = valuesAt<uint16_t>(weights->at(0), 6);
  const auto both = valuesAt<uint16_t>(weights->at(1), 6);
  const auto wide = valuesAt<float>(weights->at(2), 6);
  for (size_t i = 0; i < kValues.size(); ++i) {
    EXPECT_EQ(bf16[i], floatToBf16(float(roundTo(DType::BF16, kValues[i]))));
    EXPECT_EQ(both[i], floatToBf16(float(roundTo(DType::BF16, roundTo(DType::F16, kValues[i])))));
    EXPECT_EQ(wide[i], float(roundTo(DType::BF16, kValues[i])));
  }
  EXPECT_TRUE(std::isinf(bf16ToFloat(both[2]))); // beyond f16's range
  EXPECT_EQ(weights->residency()[1].state, State::Converted);
  EXPECT_EQ(weights->residency()[1].why, "rounded f32 to f16 to bf16, 1 beyond its range");
  EXPECT_EQ(weights->residency()[2].why, "rounded f32 to bf16 to f32");
  EXPECT_EQ(weights->residency()[2].bytes, 24u);
}

TEST(Weights, storesEightBitFloats) {
  const std::string folder = toy::testFolder();
  const std::vector<float> values = {1, -0.3f, 464, 465, -1e9f, 0x1p-10f};
  toy::writeCheckpoint(folder, {{"w", "F32", {2, 3}, toy::bytesOf(values)}});
  const Program program = programOf({parameter("small", "w", DType::F32, DType::F8E4M3FN, {DType::F8E4M3FN}, {2, 3}),
                                     parameter("wide", "w", DType::F32, DType::F8E5M2, {DType::F8E5M2}, {2, 3})});
  auto weights = Weights::open(program, folder);
  ASSERT_TRUE(weights.ok()) << weights.status();
  const auto small = valuesAt<uint8_t>(weights->at(0), 6), wide = valuesAt<uint8_t>(weights->at(1), 6);
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(small[i], floatToF8E4M3FN(values[i]));
    EXPECT_EQ(wide[i], floatToF8E5M2(values[i]));
  }
  EXPECT_EQ(weights->residency()[0].why, "rounded f32 to f8E4M3FN, 2 beyond its range");
  EXPECT_EQ(weights->residency()[1].why, "rounded f32 to f8E5M2, 1 beyond its range");
  EXPECT_EQ(weights->residency()[0].bytes, 6u);
}

TEST(Weights, widensAndTransposes) {
  const std::string folder = toy::testFolder();
  std::vector<uint16_t> f16;
  for (float value : kValues)
    f16.push_back(floatToF16(value));
  toy::writeCheckpoint(folder, {{"h", "F16", {2, 3}, toy::bytesOf(f16)},
                                {"w", "F32", {2, 3}, toy::bytesOf(kValues)}});
  Program program = programOf({parameter("wide", "h", DType::F16, DType::F32, {}, {3, 2}),
                               parameter("turned", "w", DType::F32, DType::F32, {}, {3, 2})});
  for (Binding &binding : program.bindings)
    binding.transpose = true;
  auto weights = Weights::open(program, folder);
  ASSERT_TRUE(weights.ok()) << weights.status();
  const auto wide = valuesAt<float>(weights->at(0), 6), turned = valuesAt<float>(weights->at(1), 6);
  for (size_t row = 0; row < 3; ++row)
    for (size_t column = 0; column < 2; ++column) {
      EXPECT_EQ(wide[row * 2 + column], f16ToFloat(f16[column * 3 + row]));
      EXPECT_EQ(turned[row * 2 + column], kValues[column * 3 + row]);
    }
  EXPECT_EQ(weights->residency()[0].why, "widened f16 to f32, transposed");
  EXPECT_EQ(weights->residency()[1].why, "transposed");
}

TEST(Weights, copiesWhatIsNotAligned) {
  const std::string folder = toy::testFolder();
  toy::writeCheckpoint(folder,
                       {{"a", "F16", {1}, std::string(2, 'x')},
                        {"b", "F32", {6}, toy::bytesOf(kValues)}});
  const Program program = programOf({parameter("p", "b", DType::F32, DType::F32, {}, {6})});
  auto weights = Weights::open(program, folder);
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(valuesAt<float>(weights->at(0), 6), kValues);
  EXPECT_EQ(weights->residency()[0].state, State::Copied);
  EXPECT_EQ(weights->residency()[0].why, "not aligned to 4 bytes in model.safetensors");
}

TEST(Weights, convertsTensorsOfManyPieces) {
  const std::string folder = toy::testFolder();
  std::vector<float> values((3 << 20) + 5);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = float(i) * 0.37f;
  toy::writeCheckpoint(folder, {{"w", "F32", {int64_t(values.size())}, toy::bytesOf(values)}});
  const Program program = programOf({parameter("p", "w", DType::F32, DType::BF16, {DType::BF16},
                                               {int64_t(values.size())})});
  auto weights = Weights::open(program, folder);
  ASSERT_TRUE(weights.ok()) << weights.status();
  const auto made = valuesAt<uint16_t>(weights->at(0), values.size());
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(made[i], floatToBf16(values[i])) << i;
}

TEST(Weights, refusesAnotherCheckpoint) {
  const std::string folder = toy::testFolder();
  toy::writeCheckpoint(folder, {{"w", "F32", {2, 3}, toy::bytesOf(kValues)}});
  auto open = [&](Binding binding) {
    return failure(Weights::open(programOf({std::move(binding)}), folder).status());
  };
  EXPECT_EQ(open(parameter("p", "v", DType::F32, DType::F32, {}, {2, 3})),
            "folder '" + folder + "' must have the tensor 'v' for parameter 'p', got none of that "
                                  "name");
  EXPECT_EQ(open(parameter("p", "w", DType::BF16, DType::BF16, {}, {2, 3})),
            "tensor 'w' in model.safetensors must be bf16 for parameter 'p', got F32; compile the "
            "model again from this checkpoint");
  EXPECT_EQ(open(parameter("p", "w", DType::F32, DType::F32, {}, {3, 2})),
            "tensor 'w' in model.safetensors must have shape (3, 2) for parameter 'p', got (2, 3)");
  EXPECT_EQ(Weights::open(programOf({parameter("p", "w", DType::F32, DType::F32, {}, {1})}),
                          folder + "/none").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(Weights::open(programOf({}), "").ok()); // no parameters, no folder
}

TEST(Model, printsItsLedger) {
  auto model = toy::model();
  EXPECT_EQ(model->residencyText(),
            "table  in place 40\nbytes: in place 40, copied 0, converted 0\n");
}
