// Support/Program and Support/MemoryPlan: the manifest round-trips, hostile ones
// are refused by name, and plans count every byte.
#include "Support/MemoryPlan.h"
#include "Support/Program.h"

#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>

using namespace graphc;
using nlohmann::json;
using Kind = Binding::Kind;

/// Two blocks (one full, one ring of window 100), 2 kv heads of 8, vocab 50.
static Program example() {
  Program program;
  program.model = {"llama", 50, 16, 2, 1000, {1}, {2, 3}};
  program.policy = "compute=bf16,output=f32";
  program.pin = "k=bf16,v=f16";
  program.targetName = "x86-64-v3";
  program.features = {"avx2", "fma"};
  program.outputs = {"logits"};
  program.symbols = {"threads", "tokens", "batch", "rows", "capacity", "window:100"};
  auto add = [&](Binding binding) -> Binding & {
    return program.bindings.emplace_back(std::move(binding));
  };
  add(Binding::of(Kind::Input, "ids", DType::I32, {Dim::of("tokens")}));
  add(Binding::of(Kind::Input, "starts", DType::I32, {Dim::of("batch", 1)}));
  add(Binding::of(Kind::Input, "lengths", DType::I32, {Dim::of("batch")}));
  for (const char *name : {"embedder.kernel", "head.kernel"}) { // tied
    Binding &kernel =
        add(Binding::of(Kind::Parameter, name, DType::BF16, {Dim::number(50), Dim::number(16)}));
    kernel.source = "embed.weight";
    kernel.stored = DType::BF16;
  }
  Binding &converted =
      add(Binding::of(Kind::Parameter, "up.kernel", DType::BF16, {Dim::number(16), Dim::number(48)}));
  converted.source = "up.weight";
  converted.stored = DType::F32;
  converted.roundings = {DType::F16, DType::BF16};
  converted.transpose = true;
  for (int64_t block : {0, 1}) {
    const char *rows = block ? "window:100" : "capacity";
    const std::vector<Dim> dims{Dim::of("batch"), Dim::number(2), Dim::of(rows), Dim::number(8)};
    add(Binding::of(Kind::Cache, "keys", DType::BF16, dims)).block = block;
    add(Binding::of(Kind::Cache, "values", DType::F16, dims)).block = block;
  }
  Binding &cos = add(Binding::of(Kind::Rope, "cos", DType::F32, {Dim::of("capacity"), Dim::number(4)}));
  cos.rope.dim = 8;
  add(Binding::of(Kind::Buffer, "x", DType::F32, {Dim::of("tokens", 0, 32), Dim::number(16)})).slot = 7;
  add(Binding::of(Kind::Buffer, "y", DType::BF16, {Dim::of("tokens"), Dim::number(16)})).slot = 7;
  add(Binding::of(Kind::Buffer, "z", DType::F32, {Dim::of("threads"), Dim::number(100)})).slot = 1;
  add(Binding::of(Kind::Output, "logits", DType::F32, {Dim::of("rows"), Dim::number(50)}));
  add(Binding::of(Kind::Trace, "trace", DType::F32, {}));
  program.kernels = {{{"embedder", "norm"}, {{9, "embedder"}, {10, "norm"}}}};
  program.slotUsers = {{1, {"head"}}, {7, {"embedder", "layers.*.up"}}};
  program.stack = {{"attention.decode", 640}, {"up.decode", 64}};
  return program;
}

static std::string failure(const absl::Status &status) { return std::string(status.message()); }

TEST(Program, roundTripsThroughText) {
  const Program program = example();
  ASSERT_TRUE(checkProgram(program).ok()) << checkProgram(program);
  auto read = parseProgram(programText(program), "m");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, program);
}

TEST(Program, readsAndPrintsDims) {
  for (const char *text : {"tokens", "batch+1", "tokens align 32", "window:7+2 align 64"})
    EXPECT_EQ(dimText(*parseDim(text)), text);
  EXPECT_EQ(*parseDim("rows+3 align 4"), Dim::of("rows", 3, 4));
  for (const char *text : {"", "token", "tokens+", "tokens+x", "tokens+-1", "tokens align 0", "7",
                           "window:", "window:0", "window:99999999999999999999", "tokens align"})
    EXPECT_EQ(failure(parseDim(text).status()),
              std::string("dim must be a number or a symbol with '+N' and ' align N', got '") +
                  text + "'");
}

TEST(Program, evaluatesDims) {
  const Program program = example();
  Extents extents{.threads = 3, .tokens = 33, .batch = 2, .rows = 2, .capacity = 500, .chunk = 40};
  const std::vector<int64_t> values = symbolValues(program, extents);
  EXPECT_EQ(values, (std::vector<int64_t>{3, 33, 2, 2, 500, 192})); // 100 + 40 - 1, up to 64s
  EXPECT_EQ(dimValue(program, Dim::of("tokens", 0, 32), values), 64);
  EXPECT_EQ(dimValue(program, Dim::of("batch", 1), values), 3);
  EXPECT_EQ(dimValue(program, Dim::number(9), values), 9);
}

TEST(Program, ringsHoldWhatOneCallMaySee) {
  EXPECT_EQ(ringRows(/*window=*/1, /*capacity=*/1000, /*chunk=*/1), 64);
  EXPECT_EQ(ringRows(64, 1000, 1), 64);
  EXPECT_EQ(ringRows(64, 1000, 2), 128);
  EXPECT_EQ(ringRows(64, 100, 64), 100);
  EXPECT_EQ(ringRows(int64_t(1) << 40, 100, INT64_MAX), 100);
}

TEST(Program, refusesHostileManifests) {
  struct Case {
    std::function<void(json &)> change;
    const char *message;
  };
  const Case cases[] = {
      {[](json &m) { m["version"] = 99; },
       "m: program version must be 1, got 99; compile the model again with this graphc"},
      {[](json &m) { m.erase("version"); }, "m: key 'version' must be an integer, got nothing"},
      {[](json &m) { m["more"] = 1; }, "m: key 'more' must be absent, got number 1"},
      {[](json &m) { m["model"]["vocab_size"] = 0; },
       "m: model vocab_size must be from 1 to 2147483647, got 0"},
      {[](json &m) { m["model"]["eos_token_ids"] = {"x"}; },
       "m: model: eos_token_ids[0] must be an integer, got string 'x'"},
      {[](json &m) { m["symbols"][0] = "thread"; },
       "m: symbol must be threads, tokens, batch, rows, capacity, source, cache_rows or window:N, got 'thread'"},
      {[](json &m) { m["symbols"][0] = "batch"; },
       "m: symbol 'batch' must be declared once, got it twice"},
      {[](json &m) { m["symbols"].erase(1); },
       "m: binding 'ids' must use the program's symbols, got 'tokens'"},
      {[](json &m) { m["bindings"][0]["kind"] = "imput"; },
       "m: bindings[0]: key 'kind' must be one of input, parameter, cache, rope, buffer, output, "
       "trace, carry, got 'imput'"},
      {[](json &m) { m["bindings"][0]["dtype"] = "i64"; },
       "m: binding 'ids' must be i32 (tokens), got i64 (tokens)"},
      {[](json &m) { m["bindings"][0]["dims"] = {"batch"}; },
       "m: binding 'ids' must be i32 (tokens), got i32 (batch)"},
      {[](json &m) { m["bindings"][0]["name"] = "mask"; },
       "m: binding 'mask' must be an input: ids, positions, starts, lengths, row_ids or source_lengths"},
      {[](json &m) { m["bindings"][3]["dims"] = {-1}; },
       "m: bindings[3]: dims[0] must be a positive integer or a symbol, got number -1"},
      {[](json &m) { m["bindings"][3]["dims"] = {int64_t(1) << 40, int64_t(1) << 40}; },
       "m: binding 'embedder.kernel' must have at most 2^56 bytes, got (1099511627776, "
       "1099511627776)"},
      {[](json &m) { m["bindings"][3]["dims"] = std::vector<int>(9, 1); },
       "m: binding 'embedder.kernel' must have at most 8 dims, got 9"},
      {[](json &m) { m["bindings"][3]["stored"] = "f16"; },
       "m: binding 'embedder.kernel' must have a dtype that holds every f16, got bf16"},
      {[](json &m) { m["bindings"][5]["transform"] = {"transpose", "bf16"}; },
       "m: bindings[5]: key 'transform' must be dtypes, then 'transpose' or nothing, got 'bf16'"},
      {[](json &m) { m["bindings"][6]["dims"][2] = "tokens"; },
       "m: binding 'keys' must be (batch, kvHeads, capacity or window:N, headDim), got (batch, 2, "
       "tokens, 8)"},
      {[](json &m) { m["bindings"][8]["block"] = 0; },
       "m: binding 'keys' must appear once, got it twice"},
      {[](json &m) { m["bindings"][10]["rope"]["dim"] = 6; },
       "m: binding 'cos' must be f32 (capacity, 3), got f32 (capacity, 4)"},
      {[](json &m) { m["bindings"][11]["slot"] = -1; },
       "m: binding 'x' must have a slot of at least 0, got -1"},
      {[](json &m) { m["bindings"][14]["dims"] = {"rows", 49}; },
       "m: binding 'logits' must be f32 (rows, 50), got f32 (rows, 49)"},
      {[](json &m) {
         m["bindings"][14]["name"] = "attentions.0";
         m["bindings"][14]["dims"] = {50, "rows"};
       },
       "m: binding 'attentions.0' must have rows or tokens as its first dim, since it is an "
       "output, got (50, rows)"},
      {[](json &m) { m["bindings"][14]["dtype"] = "i32"; },
       "m: binding 'logits' must be f32, f16 or bf16, since it is an output, got i32"},
      {[](json &m) { m["bindings"].push_back(m["bindings"][0]); },
       "m: binding 'trace' must be the last binding, since it is the trace"},
      {[](json &m) { m["scratch"][0]["slot"] = -1; }, "m: scratch must have a slot of at least 0, got -1"},
      {[](json &m) { m["stack"][1]["bytes"] = 0; },
       "m: stack of kernel 'up.decode' must be from 1 to 2^40 bytes, got 0"},
      {[](json &m) {
         m["bindings"][11] = {{"kind", "carry"}, {"name", "before"}, {"dtype", "i32"}, {"dims", {1}}, {"carry", 3}};
       },
       "m: binding 'before' must have one partner of its carry, dtype and dims, got 0"},
      {[](json &m) {
         m["bindings"][11] = {{"kind", "carry"}, {"name", "after"}, {"dtype", "bf16"}, {"dims", {1}}, {"carry", 3}};
       },
       "m: binding 'after' must be f32 (cache_rows, width), i32 (cache_rows) or i32 (1), since it is carried, got "
       "bf16 (1)"},
      {[](json &m) { m["kernels"][0]["outputs"][0]["binding"] = 16; },
       "m: kernel output 'embedder' must name one of 16 bindings, got 16"},
  };
  for (const Case &hostile : cases) {
    json manifest = programToJson(example());
    hostile.change(manifest);
    EXPECT_EQ(failure(parseProgram(manifest.dump(), "m").status()), hostile.message);
  }
  EXPECT_FALSE(parseProgram("", "m").ok());
  EXPECT_FALSE(parseProgram("[]", "m").ok());
}

TEST(Program, writesTextForNamesThatAreNoUtf8) {
  Program program = example();
  program.policy = "\xff";
  EXPECT_TRUE(parseProgram(programText(program), "m").ok());
}

TEST(MemoryPlan, countsEveryByte) {
  const Program program = example();
  auto plan = planMemory(program, {.batch = 3, .capacity = 500, .chunk = 40, .threads = 2});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->weightsMapped, 50u * 16 * 2); // tied: once
  EXPECT_EQ(plan->weightsConverted, 16u * 48 * 2);
  ASSERT_EQ(plan->blocks.size(), 2u);
  EXPECT_EQ(plan->blocks[0].rows, 500);
  EXPECT_EQ(plan->blocks[0].keyBytes, 3u * 2 * 500 * 8 * 2);
  EXPECT_EQ(plan->blocks[1].rows, 192);
  EXPECT_EQ(plan->blocks[1].valueBytes, 3u * 2 * 192 * 8 * 2);
  EXPECT_EQ(plan->blocks[1].values, DType::F16);
  EXPECT_EQ(plan->cache, 2u * (3 * 2 * 500 * 8 * 2) + 2u * (3 * 2 * 192 * 8 * 2) + 3 * 4);
  EXPECT_EQ(plan->workspace, 64u * 16 * 4 + 2 * 100 * 4); // a slot is its largest buffer
  EXPECT_EQ(plan->ropeTables, 500u * 4 * 4);
  EXPECT_EQ(plan->inputs, 2 * 40u * 4 + 4 * 4 + 3 * 4); // ids, positions, starts, row ids
  EXPECT_EQ(plan->outputs, 3u * 50 * 4);
  EXPECT_EQ(plan->alignment, 2 * (192u - 160) + (64 - 16) + 2 * (64 - 12) + (832 - 800) + (640 - 600));
  EXPECT_EQ(plan->json()["total"], plan->total());
  EXPECT_NE(plan->text().find("block 1: 192 rows, keys bf16 18432, values f16 18432 = 64 * batch * ring(100)\n"),
            std::string::npos)
      << plan->text();
}

/// The value of a formula, by those of its factors.
static uint64_t valueOf(const Formula &formula, const std::map<std::string, uint64_t> &factors) {
  uint64_t sum = 0;
  for (auto [product, coefficient] : formula.terms()) {
    for (const std::string &factor : product)
      coefficient *= factors.at(factor);
    sum += coefficient;
  }
  return sum;
}

/// The same with an encoder: block 0 has a cross cache of 8 bits.
static Program withEncoder() {
  Program program = example();
  program.symbols.push_back("source");
  const Dim batch = Dim::of("batch"), heads = Dim::number(2), rows = Dim::of("source");
  for (const char *side : {"cross_keys", "cross_values"})
    program.bindings.insert(program.bindings.begin(), Binding::of(Kind::Cache, side, DType::I8, {batch, heads, rows, Dim::number(8)}));
  for (const char *side : {"cross_key_scales", "cross_value_scales"})
    program.bindings.insert(program.bindings.begin(), Binding::of(Kind::Cache, side, DType::F32, {batch, heads, rows}));
  program.kernels.clear(); // which count bindings
  program.bindings.pop_back();
  return program;
}

class MemoryPlanFormulas : public testing::TestWithParam<bool> {};

TEST_P(MemoryPlanFormulas, giveItsBytes) {
  Program program = GetParam() ? withEncoder() : example();
  if (!program.hasEncoder()) { // which is not in seed mode
    for (const char *name : {"before", "after"})
      program.bindings.insert(program.bindings.begin(), Binding::of(Kind::Carry, name, DType::F32, {Dim::of("cache_rows"), Dim::number(12)}));
    program.symbols.push_back("cache_rows");
  }
  ASSERT_TRUE(checkProgram(program).ok()) << checkProgram(program);
  for (const PlanRequest &request : {PlanRequest{.batch = 3, .capacity = 500, .sourceCapacity = 90, .chunk = 40, .threads = 2},
                                     PlanRequest{.capacity = 7}, PlanRequest{.batch = 2, .chunk = 700, .logitRows = 9}}) {
    const MemoryPlan plan = *planMemory(program, request);
    const PlanRequest &r = plan.request;
    std::map<std::string, uint64_t> factors = {{"batch", r.batch}, {"capacity", r.capacity}, {"source", r.sourceCapacity},
                                               {"threads", r.threads},
                                               {"(batch + 1)", r.batch + 1}, {"logit_rows", r.logitRows}};
    for (const MemoryPlan::Symbol &symbol : plan.symbols)
      factors[symbol.name] = symbol.value;
    factors["align(tokens, 32)"] = (factors["tokens"] + 31) / 32 * 32;
    EXPECT_EQ(valueOf(plan.formulas.cache, factors), plan.cache);
    EXPECT_EQ(valueOf(plan.formulas.ropeTables, factors), plan.ropeTables);
    EXPECT_EQ(valueOf(plan.formulas.inputs, factors), plan.inputs);
    EXPECT_EQ(valueOf(plan.formulas.outputs, factors), plan.outputs);
    EXPECT_EQ(valueOf(plan.formulas.stack, factors), plan.stack);
    uint64_t workspace = 0;
    for (const MemoryPlan::Slot &slot : plan.slots) {
      uint64_t largest = 0;
      for (const Formula &formula : slot.formulas)
        largest = std::max(largest, valueOf(formula, factors));
      EXPECT_EQ(largest, slot.bytes);
      workspace += slot.bytes;
    }
    EXPECT_EQ(workspace, plan.workspace);
  }
}

INSTANTIATE_TEST_SUITE_P(All, MemoryPlanFormulas, testing::Bool(),
                         [](const auto &info) { return info.param ? "withEncoder" : "decoderAlone"; });

TEST(MemoryPlan, hasCrossCachesOfTheSourcesLength) {
  const Program program = withEncoder();
  const PlanRequest request{.batch = 3, .capacity = 500, .sourceCapacity = 90, .chunk = 40};
  const MemoryPlan plan = *planMemory(program, request);
  ASSERT_EQ(plan.blocks.size(), 3u) << "cross caches after the others";
  EXPECT_TRUE(plan.blocks[2].cross);
  EXPECT_EQ(plan.blocks[2].rows, 90);
  EXPECT_EQ(plan.blocks[2].keyBytes, 3u * 2 * 90 * 8);
  EXPECT_EQ(plan.blocks[2].scaleBytes, 2u * 3 * 2 * 90 * 4);
  const std::string text = plan.text();
  for (const char *line : {"batch 3, capacity 500, source 90, chunk 40", "\n  tokens = max(min(chunk, batch * capacity), source) = 90\n",
                           "\n  block 0 cross: 90 rows, keys int8 4320, values int8 4320, scales 4320 = 48 * batch * source\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  PlanRequest longer = request;
  longer.sourceCapacity = program.model.maxLength + 1;
  EXPECT_EQ(failure(planMemory(program, longer).status()),
            "source capacity must be from 1 to " + std::to_string(program.model.maxLength) + ", got " +
                std::to_string(longer.sourceCapacity));
}

TEST(MemoryPlan, saysWhereEachByteComesFrom) {
  const Program program = example();
  const PlanRequest request{.batch = 3, .capacity = 500, .chunk = 40, .threads = 2};
  const MemoryPlan plan = *planMemory(program, request, 1 << 20);
  const std::string text = plan.text();
  for (const char *line :
       {"\n  tokens = min(chunk, batch * capacity) = 40\n",
        "\n  ring(100) = min(capacity, align(100 + min(chunk, capacity) - 1, 64)) = 192; bytes:\n",
        "\n  1 tensor as the checkpoint has them\n",
        "\n  1 tensor converted, rounded f32 to f16 to bf16, transposed: 1536\n",
        "\n  slot 7: 4096 = max(64 * align(tokens, 32), 32 * tokens): embedder, layers.*.up\n",
        "1280  (1.2 KiB) = 640 * threads\n  attention.decode: 640\n  up.decode: 64\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  EXPECT_EQ(plan.stack, 2u * 640); // a thread runs one kernel at a time
  EXPECT_EQ(plan.json()["slots"][1]["kernels"], json({"embedder", "layers.*.up"}));
  EXPECT_EQ(plan.json()["formulas"]["stack"], "640 * threads");
  Program repacked = program;
  repacked.bindings[5].roundings = {};
  repacked.bindings[5].stored = DType::BF16;
  EXPECT_NE(planMemory(repacked, request)->text().find("  1 tensor repacked, transposed: 1536\n"), std::string::npos);
}

TEST(MemoryPlan, largestCapacityIsTheLast) {
  Program program = example();
  for (const bool isExtendable : {false, true}) {
    program.model.isExtendable = isExtendable;
    PlanRequest request{.batch = 2, .capacity = 10};
    const uint64_t budget = 200000;
    const int64_t largest = largestCapacity(program, request, budget);
    ASSERT_GT(largest, 10);
    request.capacity = largest;
    EXPECT_LE(planMemory(program, request)->total(), budget);
    request.capacity = largest + 1;
    EXPECT_GT(planMemory(program, request)->total(), budget);
    EXPECT_NE(planMemory(program, {.batch = 2}, budget)->text().find("the largest capacity that fits 200000 bytes is " +
                                                                     std::to_string(largest) + "\n"), std::string::npos);
  }
  EXPECT_EQ(largestCapacity(example(), {}, uint64_t(1) << 40), 1000); // the model's own limit
  EXPECT_EQ(largestCapacity(example(), {}, 1000), 0);
}

TEST(MemoryPlan, takesDefaultsFromModelAndRequest) {
  auto plan = planMemory(example(), {.batch = 2});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->request.capacity, 1000); // the model's; less than the default
  EXPECT_EQ(plan->request.logitRows, 2);
  EXPECT_EQ(plan->request.stateRows, 512);
  // Few tokens fit: a call of 512 is never made.
  EXPECT_EQ(planMemory(example(), {.capacity = 5})->inputs, 2 * 5u * 4 + 2 * 4 + 1 * 4);
}

TEST(MemoryPlan, refusesWhatTheModelCannotHold) {
  EXPECT_EQ(failure(planMemory(example(), {.capacity = 1001}).status()),
            "capacity must be from 1 to 1000, got 1001");
  Program ropes = example();
  ropes.model.isExtendable = true;
  EXPECT_EQ(planMemory(ropes, {.capacity = 1001})->request.capacity, 1001);
  EXPECT_EQ(parseProgram(programText(ropes), "text").value(), ropes);
  EXPECT_EQ(failure(planMemory(example(), {.batch = 0}).status()),
            "batch must be from 1 to 1048576, got 0");
  Program large = example();
  large.model.maxLength = (int64_t(1) << 31) - 1;
  large.bindings[6].dims[1] = Dim::number(int64_t(1) << 30);
  EXPECT_EQ(planMemory(large, {.capacity = large.model.maxLength}).status().code(), absl::StatusCode::kOutOfRange);
}

TEST(MemoryPlan, budgetNamesTheLargestCapacityThatFits) {
  const Program program = example();
  const PlanRequest request{.batch = 3, .capacity = 900};
  const uint64_t need = planMemory(program, request)->total();
  EXPECT_TRUE(checkBudget(program, request, need).ok());
  PlanRequest fitting = request;
  fitting.capacity = 700;
  const uint64_t budget = planMemory(program, fitting)->total();
  const absl::Status refused = checkBudget(program, request, budget);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(failure(refused), "memory need must be within the budget of " + std::to_string(budget) +
                                  " bytes, got " + std::to_string(need) +
                                  " at capacity 900; the largest capacity that fits is 700");
  EXPECT_NE(failure(checkBudget(program, request, 10)).find("no capacity fits"), std::string::npos);
}

/// The example with the keys of block 1 in 8 bits, and their scales.
static Program scaledExample() {
  Program program = example();
  for (Binding &binding : program.bindings)
    if (binding.kind == Kind::Cache && binding.name == "keys" && binding.block == 1)
      binding.dtype = DType::I8;
  Binding scales = Binding::of(Kind::Cache, "key_scales", DType::F32, {Dim::of("batch"), Dim::number(2), Dim::of("window:100")});
  scales.block = 1;
  program.bindings.insert(program.bindings.end() - 1, scales);
  return program;
}

TEST(Program, scalesComeWithEightBitCachesAndNoOthers) {
  ASSERT_TRUE(checkProgram(scaledExample()).ok()) << checkProgram(scaledExample());
  const auto parsed = parseProgram(programText(scaledExample()), "m");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->bindings, scaledExample().bindings);
  const auto refused = [](std::function<void(Program &, Binding &)> change) {
    Program program = scaledExample();
    change(program, *(program.bindings.end() - 2));
    return failure(checkProgram(program));
  };
  EXPECT_EQ(refused([](Program &program, Binding &) { program.bindings.erase(program.bindings.end() - 2); }),
            "binding 'keys' of dtype int8 must have scales");
  EXPECT_EQ(refused([](Program &, Binding &scales) { scales.block = 0; }), "binding 'keys' of dtype bf16 must not have scales");
  EXPECT_EQ(refused([](Program &, Binding &scales) { scales.dims[2] = Dim::of("capacity"); }),
            "binding 'key_scales' must have the batch, heads and rows of what it scales, got (batch, 2, capacity)");
  EXPECT_EQ(refused([](Program &, Binding &scales) { scales.dtype = DType::F16; }),
            "binding 'key_scales' must have a dtype of caches, f32 for scales, got f16");
}

// Property 7: a scale of 4 bytes a row, head and side is part of the cache's bytes.
TEST(MemoryPlan, countsScales) {
  const auto plan = planMemory(scaledExample(), {.batch = 3, .capacity = 500, .chunk = 50});
  ASSERT_TRUE(plan.ok()) << plan.status();
  const MemoryPlan::Block &block = plan->blocks[1];
  EXPECT_EQ(block.keys, DType::I8);
  EXPECT_EQ(block.keyBytes, uint64_t(3 * 2 * block.rows * 8));
  EXPECT_EQ(block.valueBytes, uint64_t(3 * 2 * block.rows * 8 * 2));
  EXPECT_EQ(block.scaleBytes, uint64_t(3 * 2 * block.rows * 4));
  EXPECT_EQ(plan->cache, plan->blocks[0].keyBytes + plan->blocks[0].valueBytes + block.keyBytes + block.valueBytes +
                             block.scaleBytes + 3 * 4);
  EXPECT_NE(plan->text().find(", scales " + std::to_string(block.scaleBytes)), std::string::npos) << plan->text();
  EXPECT_EQ(plan->json()["blocks"][1]["scales"]["bytes"], block.scaleBytes);
}
