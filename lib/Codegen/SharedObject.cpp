// Linking by ld.lld, run as a process: its library form would tie graphc's
// build to one more package and gains nothing in 10 ms of linking.
#include "Codegen/SharedObject.h"

#include "Support/File.h"
#include "Support/Message.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"

namespace graphc {

static absl::StatusOr<std::string> findLinker() {
  for (const char *name : {"ld.lld", "ld.lld-22"}) {
    if (auto path = llvm::sys::findProgramByName(name, {GRAPHC_LLVM_BIN}))
      return *path;
    if (auto path = llvm::sys::findProgramByName(name))
      return *path;
  }
  return absl::NotFoundError(concat("linker 'ld.lld' was found neither in ", GRAPHC_LLVM_BIN,
                                    " nor on PATH; install the package lld-22, or write an object with --emit=obj"));
}

/// A new temporary folder, removed with its content when the holder goes.
static absl::StatusOr<std::shared_ptr<std::string>> temporaryFolder() {
  llvm::SmallString<128> path;
  if (std::error_code error = llvm::sys::fs::createUniqueDirectory("graphc", path))
    return absl::UnavailableError(concat("temporary folder cannot be made: ", error.message()));
  return std::shared_ptr<std::string>(new std::string(path.str()), [](std::string *folder) {
    (void)llvm::sys::fs::remove_directories(*folder);
    delete folder;
  });
}

absl::StatusOr<std::string> linkSharedObject(const std::string &code, const std::string &name) {
  absl::StatusOr<std::string> linker = findLinker();
  if (!linker.ok())
    return linker.status();
  if (!llvm::sys::fs::exists(GRAPHC_OMP))
    return absl::NotFoundError(concat("library '", GRAPHC_OMP, "' does not exist; install the package libomp-22-dev"));
  absl::StatusOr<std::shared_ptr<std::string>> folder = temporaryFolder();
  if (!folder.ok())
    return folder.status();
  const std::string input = **folder + "/graphc.a", output = **folder + "/graphc.so", log = **folder + "/log";
  if (absl::Status status = writeFileAtomically(input, {code}); !status.ok())
    return status;
  const llvm::StringRef arguments[] = {*linker, "-shared",  "-z",   "defs",     "-z",       "now", "-z", "relro",
                                       "-soname", name, "-o", output, "--whole-archive", input, "--no-whole-archive", GRAPHC_OMP};
  std::string message;
  const int exit = llvm::sys::ExecuteAndWait(*linker, arguments, /*Env=*/std::nullopt,
                                             /*Redirects=*/{llvm::StringRef(), llvm::StringRef(log), llvm::StringRef(log)},
                                             /*SecondsToWait=*/0, /*MemoryLimit=*/0, &message);
  if (exit != 0) {
    if (absl::StatusOr<std::string> text = readFile(log); text.ok())
      message += *text;
    return absl::InternalError(concat(*linker, " failed with code ", exit, ": ", message));
  }
  return readFile(output);
}

} // namespace graphc
