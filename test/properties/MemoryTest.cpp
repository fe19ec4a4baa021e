// Bytes of the cache (property 7), and which of them a step writes (property 8).
#include "Properties.h"

#include "Runtime/Trace.h"
#include "Support/MemoryPlan.h"
#include "System/Fixture.h"

#include <cstring>
#include <map>

using namespace graphc;
using namespace graphc::properties;

/// Sum over layers of batch * rows * kv heads * head size * (sizeof keys + sizeof
/// values), 4 bytes a scale of an 8-bit row, and 4 bytes a sequence for its length,
/// which stands for offset and mask; of sources the same.
static uint64_t expectedBytes(const Module &pinned, const PlanRequest &request) {
  bool hasSource = false;
  uint64_t bytes = 0;
  const auto add = [&](layer::AttentionCacheType slot, int64_t rows) {
    for (mlir::Type element : {slot.getKeys(), slot.getValues()}) {
      const uint64_t width = element.getIntOrFloatBitWidth() / 8;
      bytes += uint64_t(request.batch * rows * slot.getKvHeads()) * (uint64_t(slot.getHeadDim()) * width + (width == 1 ? 4 : 0));
    }
  };
  auto cache = mlir::cast<layer::CacheType>(pinned.graph().getInput("cache").getType());
  for (layer::BlockCacheType block : cache.getBlocks()) {
    int64_t rows = request.capacity; // a ring keeps what the queries of one call may see, to a multiple of 64
    if (block.getSelf().isRing())
      rows = std::min(rows, (block.getSelf().getWindow() + request.chunk - 1 + 63) / 64 * 64);
    add(block.getSelf(), rows);
    if (block.getCross())
      add(block.getCross(), request.sourceCapacity), hasSource = true;
  }
  return bytes + uint64_t(request.batch) * (hasSource ? 8 : 4);
}

/// A ring of 2 rows of window, of a model that may be long enough to show it.
static Decoder longWindows() {
  Decoder decoder;
  decoder.maxLength = 4096;
  decoder.blocks.resize(2);
  decoder.blocks[0].window = 100;
  decoder.blocks[0].isRing = true;
  return decoder;
}

TEST(CacheMemory, Property07_BytesAreExact) {
  const CheckpointFolder weights(parametersOf(longWindows(), 3));
  std::vector<Subject> models{subjectOf(longWindows(), weights)};
  for (const char *name : {"llama/linear", "gpt2/gelu_inverse_layer", "windows", "t5/relu"})
    models.push_back(subject(name));
  for (const Subject &model : models)
    for (const std::string pin : {"f32", "bf16", "f16", "k=bf16,v=f32", "*layers.0.self_attention:f32;*layers.0.self_attention:v=f16", "int8", "k=f8E5M2,v=f16"}) {
      SCOPED_TRACE(model.name + " " + pin);
      std::vector<std::string> pins{"bf16"};
      for (llvm::StringRef rest = pin; !rest.empty();) {
        auto [rule, others] = rest.split(';');
        pins.push_back(rule.str());
        rest = others;
      }
      auto compiled = compileText(model.text, "model", {.pins = pins, .stage = Stage::Kernel});
      ASSERT_TRUE(compiled.ok()) << compiled.status();
      Module pinned(model.text);
      ASSERT_TRUE(pinned.run({.pins = pins}));
      const int64_t longest = compiled->program().model.maxLength;
      for (const int64_t batch : {1, 3})
        for (const int64_t capacity : {int64_t(1), int64_t(7), longest})
          for (const int64_t chunk : {1, 64}) {
            const PlanRequest request{.batch = batch, .capacity = capacity, .sourceCapacity = 1 + capacity / 2, .chunk = chunk};
            auto plan = planMemory(compiled->program(), request);
            ASSERT_TRUE(plan.ok()) << plan.status();
            EXPECT_EQ(plan->cache, expectedBytes(pinned, request)) << "batch " << batch << " capacity " << capacity << " chunk " << chunk;
          }
    }
}

namespace {

constexpr int64_t kBatch = 2, kCapacity = 24, kSource = 8;
const CompileOptions kOptions{.policy = {"compute=bf16,output=f32"}, .pins = {"k=bf16,v=int8"}, .optimize = 0};

/// A model in a session whose cache memory a test reads.
class Running {
public:
  explicit Running(const Subject &model) {
    static std::map<std::string, CompiledModel> known; // one compilation a subject
    if (!known.contains(model.name)) {
      auto compiled = compileText(model.text, "model", kOptions);
      EXPECT_TRUE(compiled.ok()) << compiled.status();
      known.emplace(model.name, *compiled);
    }
    auto opened = Model::open(*known.at(model.name).executable(), model.folder);
    EXPECT_TRUE(opened.ok()) << opened.status();
    session = system_test::openSession(*opened, {.batch = kBatch, .capacity = kCapacity, .sourceCapacity = kSource});
  }

  void feed(const std::vector<std::vector<int32_t>> &ids) {
    std::vector<NewTokens> tokens;
    for (size_t i = 0; i < ids.size(); ++i)
      tokens.push_back({int64_t(i), ids[i], NewTokens::Logits::Last});
    auto logits = session->forward(tokens);
    ASSERT_TRUE(logits.ok()) << logits.status();
  }

  /// Calls `visit` with each side of the cache, its memory and its bytes.
  template <typename Visit> void forEachSide(Visit visit) const {
    const CallView call = TraceAccess::lastCall(*session);
    for (size_t i = 0; i < call.program.bindings.size(); ++i)
      if (const Binding &binding = call.program.bindings[i]; binding.kind == Binding::Kind::Cache)
        visit(binding, static_cast<char *>(call.pointers[i]), *byteSize(call.program, binding, call.dims), call);
  }

  std::unique_ptr<Session> session;
};

} // namespace

TEST_P(Properties, Property07_SessionsHoldWhatThePlanSays) {
  const Running running(model());
  Module pinned(model().text);
  ASSERT_TRUE(pinned.run({.policy = kOptions.policy, .pins = kOptions.pins}));
  uint64_t bytes = kBatch * (model().hasEncoder() ? 8 : 4);
  running.forEachSide([&](const Binding &, char *, uint64_t size, const CallView &) { bytes += size; });
  EXPECT_EQ(bytes, expectedBytes(pinned, {.batch = kBatch, .capacity = kCapacity, .sourceCapacity = kSource}));
  EXPECT_EQ(running.session->cacheBytes(), bytes);
}

TEST_P(Properties, Property08_ADecodeStepWritesOnlyItsRows) {
  Running running(model());
  // Every element is one that is never stored, a NaN or int8's -128, so that a write
  // shows wherever it goes.
  std::vector<std::pair<char *, std::string>> before;
  running.forEachSide([&](const Binding &binding, char *memory, uint64_t bytes, const CallView &) {
    std::memset(memory, binding.dtype == DType::I8 ? 0x80 : 0xff, bytes);
  });
  if (model().hasEncoder()) {
    const std::vector<int32_t> sources[] = {{1, 5, 3}, {7, 9, 2, 4}};
    const Source read[] = {{0, sources[0]}, {1, sources[1]}};
    ASSERT_TRUE(running.session->encode(read).ok());
  }
  running.feed({{1, 5, 3, 2}, {7, 9}});
  running.forEachSide([&](const Binding &, char *memory, uint64_t bytes, const CallView &) { before.emplace_back(memory, std::string(memory, bytes)); });
  const std::vector<int32_t> lengths(running.session->lengths().begin(), running.session->lengths().end());
  running.feed({{4}, {6}});
  size_t side = 0;
  running.forEachSide([&](const Binding &binding, char *memory, uint64_t bytes, const CallView &call) {
    EXPECT_EQ(memory, before[side].first) << "the cache is where it was";
    const std::string &old = before[side++].second;
    const int64_t size = byteSize(binding.dtype), heads = dimValue(call.program, binding.dims[1], call.dims),
                  rows = dimValue(call.program, binding.dims[2], call.dims);
    // One scale a row and head, where there are scales.
    const int64_t headDim = binding.isScales() ? 1 : dimValue(call.program, binding.dims[3], call.dims);
    int64_t changed = 0;
    for (int64_t e = 0; e < int64_t(bytes) / size; ++e) {
      if (!std::memcmp(memory + e * size, old.data() + e * size, size_t(size)))
        continue;
      ++changed;
      const int64_t row = e / headDim % rows, sequence = e / (headDim * rows * heads);
      EXPECT_EQ(row, lengths[size_t(sequence)] % rows) << binding.name << " of block " << binding.block << " element " << e;
    }
    EXPECT_EQ(changed, binding.isOfCross() ? 0 : kBatch * heads * headDim) << binding.name << " of block " << binding.block;
  });
  EXPECT_GT(side, 0u);
}
