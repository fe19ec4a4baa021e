// Typed reading of config.json that notices what was not read: a key that no
// one understands may change what the model computes, so it is an error.
// Getters report errors and return a value to go on with, so that one run
// reports every fault; finish() says whether there were any.
#pragma once

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"

#include <absl/status/statusor.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace graphc::importer {

class Config {
public:
  /// Reads config.json of `folder`; failure after an error.
  static mlir::FailureOr<Config> open(mlir::MLIRContext &context, const std::string &folder);
  /// The same from its text; errors are reported at `path`.
  static mlir::FailureOr<Config> parse(mlir::MLIRContext &context, std::string text, std::string path);

  // Null counts as absent everywhere. Without a fallback the key is required.

  /// An integer from 1 to `most`.
  int64_t size(llvm::StringRef key, std::optional<int64_t> fallback = std::nullopt,
               int64_t most = INT32_MAX);
  /// A number above 0.
  double positive(llvm::StringRef key, std::optional<double> fallback = std::nullopt);
  bool flag(llvm::StringRef key, bool fallback);
  std::string text(llvm::StringRef key, std::optional<llvm::StringRef> fallback = std::nullopt);
  /// The object under `key`; null if absent.
  const nlohmann::json *object(llvm::StringRef key);
  /// The value under `key`, of whatever kind; null if absent.
  const nlohmann::json *value(llvm::StringRef key);

  /// True if the key is there, be it null.
  bool contains(llvm::StringRef key) const { return root.contains(std::string_view(key)); }

  /// Reports unless `key` is absent or has `supported`, the only value that is;
  /// `reason` ends the message.
  void demand(llvm::StringRef key, const nlohmann::json &supported, llvm::StringRef reason);

  /// Reports an error at the key's line. The message names the key.
  mlir::InFlightDiagnostic error(llvm::StringRef key);

  /// Reports each key that was neither read nor is in `harmless` or the list
  /// common to all models. Failure if there was any error so far.
  mlir::LogicalResult finish(llvm::StringRef family, llvm::ArrayRef<llvm::StringLiteral> harmless);

private:
  Config(mlir::MLIRContext &context, std::string path) : context(&context), path(std::move(path)) {}
  /// Unwraps what a getter of Support/Json.h returned for `key`.
  template <typename T>
  T take(llvm::StringRef key, absl::StatusOr<std::optional<T>> found, std::optional<T> fallback,
         llvm::StringRef expected, T onError);

  mlir::MLIRContext *context;
  std::string path;     ///< Of config.json, for diagnostics.
  std::string contents; ///< Its text, to find a key's line.
  nlohmann::json root;
  std::set<std::string, std::less<>> read;
  bool failed = false;
};

} // namespace graphc::importer
