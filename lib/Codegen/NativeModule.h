// From the LLVM dialect to machine code: translation, optimisation and emission
// for one target of the table. Nothing is detected; the target says it all.
#pragma once

#include "Codegen/CacheCheck.h"
#include "Support/Target.h"

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <memory>
#include <string>
#include <vector>

namespace mlir {
class DialectRegistry;
class ModuleOp;
} // namespace mlir

namespace graphc {

/// Registers what translation needs; a context for compiling must have it.
void registerTranslations(mlir::DialectRegistry &registry);

class NativeModule {
public:
  /// Translates `module`, of the LLVM and OpenMP dialects only. `manifest`, if
  /// not empty, becomes the NUL-terminated constant kManifestSymbol. Every
  /// function gets the target's CPU and features, and `no-builtins`: without it
  /// -O3 makes memcpy of a copy loop, out of the cache checker's sight. Internal
  /// if the module does not translate; the reason is a diagnostic of the context.
  static absl::StatusOr<std::unique_ptr<NativeModule>> translate(mlir::ModuleOp module, const Target &target,
                                                                 const std::string &manifest);
  ~NativeModule();

  /// Optimises: level 0 nothing, 1 what emitted loops need, 2 and 3 LLVM's own
  /// pipelines of these levels.
  void optimize(unsigned level);
  /// checkCacheAccess (Codegen/CacheCheck.h) on the module as it is now.
  absl::Status checkCache(const Program &program, CodeState state, Facts *facts) const;

  std::string llvmText() const;
  /// Assembly text in AT&T syntax. Changes the module; call it last.
  std::string assembly();
  /// Position independent code: an ELF relocatable, or if `parts` is more than one an
  /// archive of at most as many, which threads make side by side. Aborted, with the
  /// name, if it calls anything outside runtimeSymbols(). Changes the module; call it
  /// last.
  absl::StatusOr<std::string> object(unsigned parts = 1);

private:
  struct State;
  absl::StatusOr<std::string> emitParts(unsigned count);
  explicit NativeModule(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

/// The symbols that `code`, an object or an archive, leaves undefined, sorted.
/// Aborted, with the name, if one is outside runtimeSymbols(): what is called there
/// could reach the cache.
absl::StatusOr<std::vector<std::string>> checkUndefinedSymbols(const std::string &code);

} // namespace graphc
