// An entry is one file: a digest of what follows, a line of JSON, the object.
// Files are written beside and renamed, so readers see whole entries only, and an
// entry that is evicted while it is read stays readable.
#include "Compiler/CompileCache.h"

#include "Support/File.h"
#include "Support/Json.h"
#include "Support/Message.h"

#include "mlir/IR/Verifier.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Support/BLAKE3.h"

#include <algorithm>
#include <elf.h>
#include <fcntl.h>
#include <filesystem>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace graphc {

static constexpr std::string_view kEnding = ".graphc-code";
static constexpr size_t kDigits = 64;

static std::string digest(std::initializer_list<std::string_view> parts) {
  llvm::BLAKE3 hash;
  for (std::string_view part : parts) {
    const uint64_t size = part.size(); // so that no two lists run together alike
    hash.update(llvm::ArrayRef(reinterpret_cast<const uint8_t *>(&size), sizeof size));
    hash.update(llvm::StringRef(part.data(), part.size()));
  }
  return llvm::toHex(llvm::ArrayRef<uint8_t>(hash.final<32>()), /*LowerCase=*/true);
}

/// The build ID of the loaded file that holds `address`, as its notes have it.
static std::string buildIdAt(const void *address) {
  struct Search {
    uintptr_t address;
    std::string id;
  } search{reinterpret_cast<uintptr_t>(address), {}};
  dl_iterate_phdr(
      [](dl_phdr_info *info, size_t, void *data) {
        auto &search = *static_cast<Search *>(data);
        bool holds = false;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr) &header = info->dlpi_phdr[i];
          holds |= header.p_type == PT_LOAD && search.address - (info->dlpi_addr + header.p_vaddr) < header.p_memsz;
        }
        for (int i = 0; holds && i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr) &header = info->dlpi_phdr[i];
          if (header.p_type != PT_NOTE)
            continue;
          const char *at = reinterpret_cast<const char *>(info->dlpi_addr + header.p_vaddr), *end = at + header.p_memsz;
          while (at + sizeof(ElfW(Nhdr)) <= end) {
            const auto *note = reinterpret_cast<const ElfW(Nhdr) *>(at);
            const char *name = at + sizeof *note, *bytes = name + ((note->n_namesz + 3) & ~3u);
            if (note->n_type == NT_GNU_BUILD_ID && std::string_view(name, 4) == std::string_view("GNU", 4))
              search.id = llvm::toHex(llvm::StringRef(bytes, note->n_descsz), /*LowerCase=*/true);
            at = bytes + ((note->n_descsz + 3) & ~3u);
          }
        }
        return int(holds);
      },
      &search);
  return search.id;
}

/// What tells this compiler from every other: the build IDs of graphc, MLIR and
/// LLVM. Empty if one has none.
static const std::string &compilerIdentity() {
  static const std::string identity = [] {
    std::string text = concat(GRAPHC_VERSION, " LLVM ", LLVM_VERSION_STRING);
    bool (*const ofLlvm)(const llvm::Module &, llvm::raw_ostream *, bool *) = llvm::verifyModule;
    llvm::LogicalResult (*const ofMlir)(mlir::Operation *, bool) = mlir::verify;
    for (const void *place : {reinterpret_cast<const void *>(&buildIdAt), reinterpret_cast<const void *>(ofMlir),
                              reinterpret_cast<const void *>(ofLlvm)}) {
      const std::string id = buildIdAt(place);
      if (id.empty())
        return std::string();
      text += concat(" ", id);
    }
    return text;
  }();
  return identity;
}

std::string CompileCache::key(std::string_view kernels, const Program &program, unsigned optimize, bool wholeObject) {
  if (compilerIdentity().empty())
    return {};
  return digest({compilerIdentity(), concat(optimize, wholeObject ? " whole" : ""), programText(program), kernels});
}

static nlohmann::json factsToJson(const Facts &facts) {
  nlohmann::json list = nlohmann::json::array();
  for (const Fact &fact : facts)
    list.push_back({{"name", fact.name}, {"value", fact.value}});
  return list;
}

static absl::Status readFacts(const nlohmann::json &object, std::string_view key, Facts &facts) {
  absl::StatusOr<const nlohmann::json *> list = getArray(object, key);
  if (!list.ok())
    return list.status();
  for (const nlohmann::json &entry : **list) {
    absl::StatusOr<std::string> name = getString(entry, "name");
    absl::StatusOr<int64_t> value = getInt(entry, "value");
    if (!name.ok() || !value.ok())
      return name.ok() ? value.status() : name.status();
    facts.push_back({*std::move(name), uint64_t(*value)});
  }
  return absl::OkStatus();
}

static std::string lineOf(const CachedCode &code) {
  const CheckedLevels &checked = code.checked;
  return nlohmann::json{{"program", programText(code.program)},
                        {"vector", factsToJson(checked.vector)},
                        {"translated", factsToJson(checked.translated)},
                        {"optimized", factsToJson(checked.optimized)},
                        {"symbols", checked.symbols}}
             .dump() + "\n";
}

static absl::Status readLine(std::string_view line, CachedCode &code) {
  absl::StatusOr<nlohmann::json> object = parseJson(line, "entry");
  if (!object.ok())
    return object.status();
  absl::StatusOr<std::string> text = getString(*object, "program");
  if (!text.ok())
    return text.status();
  absl::StatusOr<Program> program = parseProgram(*text, "entry");
  if (!program.ok())
    return program.status();
  code.program = *std::move(program);
  CheckedLevels &checked = code.checked;
  for (auto [key, facts] : {std::pair("vector", &checked.vector), std::pair("translated", &checked.translated),
                            std::pair("optimized", &checked.optimized)})
    if (absl::Status status = readFacts(*object, key, *facts); !status.ok())
      return status;
  absl::StatusOr<const nlohmann::json *> symbols = getArray(*object, "symbols");
  if (!symbols.ok())
    return symbols.status();
  for (const nlohmann::json &symbol : **symbols)
    if (const auto *name = symbol.get_ptr<const std::string *>())
      checked.symbols.push_back(*name);
  return absl::OkStatus();
}

/// Code is run as it is found, so nobody else may be able to write it.
static bool isOurs(const std::string &path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && status.st_uid == ::geteuid() && !(status.st_mode & (S_IWGRP | S_IWOTH));
}

std::string CompileCache::pathOf(const std::string &key) const { return concat(folder, "/", key, kEnding); }

std::optional<CachedCode> CompileCache::find(const std::string &key) const {
  const std::string path = pathOf(key);
  if (!isOurs(folder) || !isOurs(path))
    return std::nullopt;
  absl::StatusOr<std::string> bytes = readFile(path, limit);
  if (!bytes.ok())
    return std::nullopt;
  const std::string_view all = *bytes;
  const size_t line = kDigits + 1, end = all.find('\n', line);
  CachedCode code;
  if (all.size() < line || end == all.npos || all.substr(0, kDigits) != digest({key, all.substr(line)}) ||
      !readLine(all.substr(line, end - line), code).ok())
    return std::nullopt;
  code.object = all.substr(end + 1);
  ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0); // used just now; if that fails it is evicted earlier
  return code;
}

absl::Status CompileCache::store(const std::string &key, const CachedCode &code) const {
  std::error_code error;
  const fs::path parent = fs::path(folder).parent_path();
  if (!parent.empty())
    fs::create_directories(parent, error);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return absl::UnavailableError(concat("folder '", folder, "' cannot be made: ", std::generic_category().message(errno)));
  if (!isOurs(folder))
    return absl::UnavailableError(concat("folder '", folder, "' must be this user's and writable by no one else"));
  std::string content = concat(lineOf(code), code.object);
  const std::string head = concat(digest({key, content}), "\n");
  if (absl::Status status = writeFileAtomically(pathOf(key), {head, content}); !status.ok())
    return status;
  evict();
  return absl::OkStatus();
}

void CompileCache::evict() const {
  struct Entry {
    fs::file_time_type used;
    uint64_t bytes;
    fs::path path;
  };
  std::vector<Entry> entries;
  uint64_t total = 0;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().string().find(kEnding) == std::string::npos) // in the name of what a killed process left, too
      continue;
    std::error_code gone; // another process may be evicting too
    const Entry entry{at->last_write_time(gone), uint64_t(at->file_size(gone)), at->path()};
    if (!gone)
      entries.push_back(entry), total += entry.bytes;
  }
  std::ranges::sort(entries, {}, &Entry::used);
  for (const Entry &entry : entries) {
    if (total <= limit)
      return;
    if (fs::remove(entry.path, error))
      total -= entry.bytes;
  }
}

} // namespace graphc
