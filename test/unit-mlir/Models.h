// Checkpoint folders for tests: imported, opened, ready to interpret.
#pragma once

#include "Import/Import.h"
#include "Reference/Generate.h"
#include "Support/Safetensors.h"
#include "graphc/IR/Layer.h"

#include "mlir/IR/MLIRContext.h"

#include <algorithm>
#include <filesystem>
#include <gtest/gtest.h>

namespace graphc::reference {

/// A model that a test runs; `module` is null if it could not be imported.
class Model {
public:
  explicit Model(const std::string &folder) {
    context.loadDialect<layer::LayerDialect>();
    module = importModel(context, folder);
    absl::StatusOr<Checkpoint> opened = Checkpoint::open(folder);
    EXPECT_TRUE(module && opened.ok()) << folder << ": " << opened.status();
    if (opened.ok())
      checkpoint.emplace(*std::move(opened));
  }
  bool isReady() const { return module && checkpoint; }

  /// Sets the policy of every layer; types may be null.
  void setPolicy(std::optional<DType> compute, std::optional<DType> output) {
    const auto type = [&](std::optional<DType> dtype) {
      return dtype ? layer::typeOf(&context, *dtype) : mlir::Type();
    };
    module->walk([&](layer::PolicyLayer op) {
      op.setLayerPolicy(layer::PolicyAttr::get(&context, mlir::Type(), type(compute), type(output)));
    });
  }

  /// Of the graph called `graph`; empty: the only one.
  Interpreter interpreter(Options options, std::string_view graph = {}) {
    if (!parameters)
      parameters.emplace(*checkpoint);
    return *Interpreter::create(*module, *parameters, std::move(options), graph);
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;

private:
  std::optional<Checkpoint> checkpoint;
  std::optional<CheckpointParameters> parameters;
};

/// "llama/mha" and the like: every fixture of test/models of these families.
inline std::vector<std::string> fixtures(const std::vector<std::string> &families = {"llama", "mistral", "gpt2"}) {
  std::vector<std::string> names;
  for (const std::string &family : families)
    for (const auto &entry : std::filesystem::directory_iterator(std::string(GRAPHC_TEST_DIR) + "/models/" + family))
      names.push_back(family + "/" + entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Those with an encoder and a decoder.
inline std::vector<std::string> encoderDecoderFixtures() { return fixtures({"bart", "t5"}); }

/// A fixture's name as GoogleTest wants it.
inline std::string fixtureTestName(const testing::TestParamInfo<std::string> &info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

} // namespace graphc::reference
