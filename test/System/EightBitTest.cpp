// Eight bits, whole models: what a step writes into a quantised cache and what
// the cache is said to be, and parameters stored as 8-bit floats.
#include "Fixture.h"
#include "Runtime/Trace.h"
#include "Support/File.h"
#include "Support/Program.h"
#include "Support/Safetensors.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

using namespace graphc;
using namespace graphc::system_test;

namespace {
/// The bytes of every cache binding of a session.
std::vector<std::vector<char>> cacheBytes(const CallView &call) {
  std::vector<std::vector<char>> memory;
  for (size_t i = 0; i < call.program.bindings.size(); ++i)
    if (call.program.bindings[i].kind == Binding::Kind::Cache) {
      const auto *data = static_cast<const char *>(call.pointers[i]);
      memory.emplace_back(data, data + *byteSize(call.program, call.program.bindings[i], call.dims));
    }
  return memory;
}

/// One compilation a fixture and pin.
std::shared_ptr<const Model> modelWith(const std::string &fixture, const std::string &pin) {
  static std::map<std::pair<std::string, std::string>, std::shared_ptr<const Model>> known;
  std::shared_ptr<const Model> &model = known[{fixture, pin}];
  if (!model) {
    CompileOptions options;
    options.policy = {"compute=bf16,output=f32"};
    options.pins = {pin};
    model = openModel(compileFixture(fixture, options), fixture);
  }
  return model;
}
} // namespace

// Property 8: a decode step writes one row, and one scale, a head and side.
TEST(EightBitCache, aStepWritesItsRowsAndScalesAndNothingElse) {
  const Golden golden = readGolden("llama/mha");
  for (const std::string pin : {"int8", "k=int8,v=f16", "f8E4M3FN"}) {
    auto session = openSession(modelWith("llama/mha", pin), {.capacity = 40, .logitRows = 64});
    const CallView call = TraceAccess::lastCall(*session);
    for (size_t i = 0; i < call.program.bindings.size(); ++i)
      if (const Binding &binding = call.program.bindings[i]; binding.kind == Binding::Kind::Cache)
        std::memset(call.pointers[i], 0xff, *byteSize(call.program, binding, call.dims));
    logitsOf(*session, 0, golden.prompts[0]);
    const int64_t row = session->lengths()[0];
    const auto before = cacheBytes(call);
    const int32_t next = 3;
    logitsOf(*session, 0, {&next, 1});
    const auto after = cacheBytes(call);
    size_t at = 0;
    for (const Binding &binding : call.program.bindings) {
      if (binding.kind != Binding::Kind::Cache)
        continue;
      const int64_t heads = binding.dims[1].offset, width = binding.isScales() ? 1 : binding.dims[3].offset;
      const int64_t rowBytes = width * byteSize(binding.dtype), rows = int64_t(before[at].size()) / rowBytes / heads;
      int64_t changedRows = 0;
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t r = 0; r < rows; ++r) {
          const size_t from = size_t((h * rows + r) * rowBytes);
          const bool changed = std::memcmp(&before[at][from], &after[at][from], size_t(rowBytes)) != 0;
          EXPECT_TRUE(!changed || r == row) << pin << " " << binding.name << " row " << r;
          changedRows += changed;
        }
      EXPECT_EQ(changedRows, heads) << pin << " " << binding.name << ": all were 0xff before";
      ++at;
    }
  }
}

// Property 7, and what is said of it.
TEST(EightBitCache, bytesAndNameAreDeclared) {
  const int64_t layers = 2, heads = 4, headDim = 8, batch = 3, capacity = 24;
  const auto bytes = [&](int64_t key, int64_t value, int64_t scales) {
    return uint64_t(batch * capacity * heads * (headDim * (key + value) + 4 * scales) * layers + 4 * batch);
  };
  const std::tuple<std::string, std::string, uint64_t> cases[] = {
      {"int8", "int8", bytes(1, 1, 2)},
      {"k=int8,v=f16", "k=int8,v=f16", bytes(1, 2, 1)}};
  for (const auto &[pin, name, size] : cases) {
    auto session = openSession(modelWith("llama/mha", pin), {.batch = batch, .capacity = capacity});
    EXPECT_EQ(session->cacheDType(), name);
    EXPECT_EQ(session->cacheBytes(), size) << pin;
  }
}

// A row that is not finite shows: its scale is NaN, and so is what attends to it.
TEST(EightBitCache, aNanScaleReachesWhoReadsTheRow) {
  const Golden golden = readGolden("llama/mha");
  auto session = openSession(modelWith("llama/mha", "int8"), {.capacity = 40, .logitRows = 64});
  logitsOf(*session, 0, golden.prompts[0]);
  const CallView call = TraceAccess::lastCall(*session);
  for (size_t i = 0; i < call.program.bindings.size(); ++i)
    if (call.program.bindings[i].isScales() && call.program.bindings[i].name == "value_scales")
      static_cast<float *>(call.pointers[i])[0] = NAN; // head 0, row 0
  const int32_t next = 3;
  EXPECT_TRUE(std::isnan(logitsOf(*session, 0, {&next, 1})[0]));
}

namespace {
/// A folder with the fixture's checkpoint, its matrices as `stored`: rounded to
/// `rounded` first.
class Restored {
public:
  Restored(const std::string &fixture, DType rounded, DType stored) {
    folder = std::filesystem::temp_directory_path() /
             ("graphc-eight-bit-" + std::string(info(stored).name) + testName({fixture, 0}));
    std::filesystem::create_directories(folder);
    std::filesystem::copy_file(folderOf(fixture) + "/config.json", folder / "config.json",
                               std::filesystem::copy_options::overwrite_existing);
    const Checkpoint checkpoint = *Checkpoint::open(folderOf(fixture));
    nlohmann::json header;
    std::string data;
    for (const TensorInfo &tensor : checkpoint.tensors()) {
      const DType to = tensor.shape.size() == 2 ? stored : *tensor.dtype;
      const size_t begin = data.size(), count = size_t(tensor.bytes / byteSize(*tensor.dtype));
      data.resize(begin + count * byteSize(to));
      for (size_t i = 0; i < count; ++i) {
        const float value = loadElement(*tensor.dtype, tensor.data + i * byteSize(*tensor.dtype));
        storeElement(to, &data[begin + i * byteSize(to)], tensor.shape.size() == 2 ? float(roundTo(rounded, value)) : value);
      }
      header[tensor.name] = {{"dtype", info(to).safetensors}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    const uint64_t length = text.size();
    const absl::Status written = writeFileAtomically(
        (folder / "model.safetensors").string(), {std::string_view(reinterpret_cast<const char *>(&length), 8), text, data});
    EXPECT_TRUE(written.ok()) << written;
  }
  ~Restored() { std::filesystem::remove_all(folder); }

  std::shared_ptr<const Model> open(const CompileOptions &options) const {
    auto compiled = compile(folder.string(), options);
    EXPECT_TRUE(compiled.ok()) << compiled.status();
    auto model = Model::open(*compiled->executable(), folder.string());
    EXPECT_TRUE(model.ok()) << model.status();
    return *model;
  }

  std::filesystem::path folder;
};
} // namespace

// rd_P(w) is the same bits whether the policy rounds at load, the file holds the
// 8-bit floats, or holds their values in f32.
TEST(EightBitParameters, storageByPolicyByFileAndByValueAgree) {
  for (const auto &[fixture, dtype] : {std::pair<std::string, DType>("llama/mha", DType::F8E4M3FN), // kernels (N, K)
                                       {"gpt2/gelu_new", DType::F8E5M2}}) {                        // and (K, N)
    const Golden golden = readGolden(fixture);
    const SessionOptions sizes{.capacity = golden.sessionLength, .logitRows = 64};
    const auto logits = [&](std::shared_ptr<const Model> model) {
      auto session = openSession(std::move(model), sizes);
      return logitsOf(*session, 0, golden.prompts[0]);
    };
    CompileOptions asStored;
    asStored.policy = {"compute=f32"};
    CompileOptions byPolicy = asStored;
    byPolicy.policy.push_back("*.kernel:params=" + std::string(info(dtype).name));
    const Restored file(fixture, dtype, dtype), values(fixture, dtype, DType::F32);
    const auto inFile = file.open(asStored);
    const auto atLoad = openModel(compileFixture(fixture, byPolicy), fixture);
    const std::vector<float> expected = logits(values.open(asStored));
    EXPECT_EQ(logits(inFile), expected) << fixture << " " << info(dtype).name;
    EXPECT_EQ(logits(atLoad), expected) << fixture << " " << info(dtype).name;
    for (const Residency &entry : inFile->residency())
      EXPECT_EQ(entry.state, Residency::State::InPlace) << entry.parameter;
    for (const Residency &entry : atLoad->residency()) {
      const bool isKernel = entry.parameter.ends_with(".kernel");
      EXPECT_EQ(entry.state, isKernel ? Residency::State::Converted : Residency::State::InPlace) << entry.parameter;
      if (isKernel && entry.bytes > 0)
        EXPECT_EQ(entry.why, "rounded f32 to " + std::string(info(dtype).name)) << entry.parameter;
    }
  }
}

// A ring of fewer rows than the sequence, prefilled and decoded: rows and scales
// go round together, so it gives the bits of one that never wraps.
TEST(EightBitCache, aRingThatWrapsGivesTheSameBits) {
  const int64_t length = 100;
  Ids ids;
  for (int64_t i = 0; i < length; ++i)
    ids.push_back(int32_t(i * 7 % 50));
  for (const std::string pin : {"k=int8,v=f8E4M3FN"}) {
    const auto model = modelWith("mistral/window", pin);
    auto whole = openSession(model, {.capacity = 128, .chunk = 128, .logitRows = length});
    auto wrapping = openSession(model, {.capacity = 128, .chunk = 8, .logitRows = length});
    ASSERT_LT(wrapping->cacheBytes(), whole->cacheBytes());
    const std::vector<float> expected = logitsOf(*whole, 0, ids);
    std::vector<float> logits = logitsOf(*wrapping, 0, std::span(ids).first(90));
    for (int64_t i = 90; i < length; ++i) {
      const std::vector<float> row = logitsOf(*wrapping, 0, std::span(ids).subspan(size_t(i), 1));
      logits.insert(logits.end(), row.begin(), row.end());
    }
    EXPECT_EQ(logits, expected) << pin;
  }
}
