// What can be done with a compilation's outcome.
#include "Codegen/Jit.h"
#include "Codegen/SharedObject.h"
#include "Compiler/Certificate.h"
#include "Compiler/GuardedRun.h"
#include "Compiler/State.h"
#include "Runtime/Code.h"
#include "Support/File.h"
#include "Support/MemoryPlan.h"
#include "Support/Message.h"
#include "Support/Target.h"

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace graphc {

std::optional<Stage> parseStage(std::string_view name) {
  constexpr std::string_view names[] = {"layer", "kernel", "vector", "llvm", "asm", "obj"};
  for (size_t i = 0; i < std::size(names); ++i)
    if (names[i] == name)
      return Stage(i);
  return std::nullopt;
}

ErrorKind errorKind(const absl::Status &status) {
  switch (status.code()) {
  case absl::StatusCode::kInvalidArgument: return ErrorKind::Usage;
  case absl::StatusCode::kAborted:
  case absl::StatusCode::kResourceExhausted: return ErrorKind::Contract;
  case absl::StatusCode::kInternal: return ErrorKind::Internal;
  default: return ErrorKind::Compile;
  }
}

std::vector<std::string> targetNames() {
  std::vector<std::string> names;
  for (const Target &target : targets())
    names.emplace_back(target.name);
  return names;
}

std::string nativeTargetName() { return std::string(nativeTarget().name); }

const std::string &CompiledModel::output() const { return state->output; }
const std::string &CompiledModel::notes() const { return state->notes; }
const std::string &CompiledModel::summary() const { return state->summary; }
const Program &CompiledModel::program() const { return state->program; }
const Work &CompiledModel::work() const { return state->work; }
const std::vector<PhaseTime> &CompiledModel::phases() const { return state->phases; }
bool CompiledModel::isFromCache() const { return state->fromCache; }

std::string defaultCompileCache() {
  if (const char *folder = std::getenv("GRAPHC_CACHE_DIR"))
    return folder;
  if (const char *folder = std::getenv("XDG_CACHE_HOME"); folder && *folder)
    return concat(folder, "/graphc");
  if (const char *home = std::getenv("HOME"); home && *home)
    return concat(home, "/.cache/graphc");
  return {};
}

static absl::Status needsObject(Stage stage) {
  return stage == Stage::Object ? absl::OkStatus()
                                : absl::FailedPreconditionError("model must be compiled up to Stage::Object");
}

absl::StatusOr<Certificate> CompiledModel::certificate(const CertificateOptions &options) const {
  if (absl::Status status = needsObject(state->stage); !status.ok())
    return status;
  if (state->program.isSeedMode())
    return invalidArgument("cache mode must be pinned for a certificate, got seed: there the policy casts the cache");
  absl::StatusOr<MemoryPlan> plan = planMemory(state->program, planRequest(options.session));
  if (!plan.ok())
    return plan.status();
  std::optional<Facts> run;
  if (!options.weights.empty()) {
    absl::StatusOr<std::shared_ptr<const Executable>> linked = executable();
    if (!linked.ok())
      return linked.status();
    absl::StatusOr<Facts> facts = runGuarded(*linked, options.weights, options.session);
    if (!facts.ok())
      return facts.status();
    run = *std::move(facts);
  }
  return makeCertificate(state->program, state->checked, *plan, run ? &*run : nullptr);
}

absl::StatusOr<std::shared_ptr<const Executable>> CompiledModel::executable() const {
  if (absl::Status status = needsObject(state->stage); !status.ok())
    return status;
  absl::StatusOr<LinkedProgram> linked = linkInProcess(state->output);
  if (!linked.ok())
    return linked.status();
  return Executable::create(state->program, linked->prefill, linked->decode, std::move(linked->code),
                            linked->encoder);
}

absl::StatusOr<std::string> CompiledModel::planText(const SessionOptions &session, uint64_t budget) const {
  absl::StatusOr<MemoryPlan> plan = planMemory(state->program, planRequest(session), budget);
  if (!plan.ok())
    return plan.status();
  return plan->text();
}

absl::StatusOr<std::string> CompiledModel::planJson(const SessionOptions &session, uint64_t budget) const {
  absl::StatusOr<MemoryPlan> plan = planMemory(state->program, planRequest(session), budget);
  if (!plan.ok())
    return plan.status();
  return plan->json().dump(2) + "\n";
}

absl::StatusOr<std::string> CompiledModel::sharedObject(const std::string &name) const {
  if (absl::Status status = needsObject(state->stage); !status.ok())
    return status;
  return linkSharedObject(state->output, name);
}

std::string CompiledModel::header(const std::string &name) const { return headerText(state->program, name); }

absl::Status CompiledModel::writeSharedObject(const std::string &path) const {
  const std::filesystem::path file(path);
  absl::StatusOr<std::string> bytes = sharedObject(file.filename());
  if (!bytes.ok())
    return bytes.status();
  std::filesystem::path headerPath = file;
  headerPath.replace_extension(".h");
  if (headerPath == file)
    return invalidArgument("shared object must not be called '", path, "', the name of its header");
  if (absl::Status status = writeFileAtomically(path, {*bytes}); !status.ok())
    return status;
  return writeFileAtomically(headerPath, {header(file.filename())});
}

} // namespace graphc
