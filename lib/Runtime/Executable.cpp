// Executables from a shared object or from memory. Whatever can be checked is
// checked before any of the code runs.
#include "Runtime/Code.h"
#include "Runtime/Cores.h"
#include "Runtime/Memory.h"
#include "Support/MappedFile.h"
#include "Support/Message.h"
#include "Support/Target.h"

#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <nlohmann/json.hpp>

namespace graphc {

namespace {
/// dlopen trusts headers: segments beyond the end of a cut-off file would be
/// mapped, and fault when they are read.
absl::Status checkObject(std::span<const std::byte> bytes, const std::string &path) {
  Elf64_Ehdr header;
  bool sound = bytes.size() >= sizeof header;
  if (sound) {
    std::memcpy(&header, bytes.data(), sizeof header);
    sound = std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
            header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_type == ET_DYN &&
            header.e_machine == EM_X86_64 && header.e_phentsize == sizeof(Elf64_Phdr) &&
            header.e_phoff <= bytes.size() &&
            header.e_phnum <= (bytes.size() - header.e_phoff) / sizeof(Elf64_Phdr);
  }
  if (!sound)
    return invalidArgument("file '", path, "' must be an x86-64 shared object made by graphc");
  for (size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, bytes.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_offset > bytes.size() || segment.p_filesz > bytes.size() - segment.p_offset)
      return invalidArgument("file '", path, "' must have all its segments, got ", bytes.size(),
                             " bytes; is it cut off?");
  }
  return absl::OkStatus();
}

absl::Status checkHost(const Program &program) {
  std::vector<std::string_view> missing;
  for (const std::string &feature : program.features)
    if (!hostHas(feature))
      missing.push_back(feature);
  if (missing.empty())
    return absl::OkStatus();
  return absl::FailedPreconditionError(
      concat("target '", program.targetName, "' needs ", join(missing),
             ", which this machine lacks; compile with --target=", nativeTarget().name));
}
} // namespace

absl::StatusOr<std::shared_ptr<const Executable>>
Executable::create(Program program, EntryPoint prefill, EntryPoint decode,
                   std::shared_ptr<void> owner, EntryPoint encoder) {
  if (absl::Status status = checkProgram(program); !status.ok())
    return status;
  if (absl::Status status = checkHost(program); !status.ok())
    return status;
  if (!prefill || !decode)
    return invalidArgument("executable must have the entries ", kPrefillSymbol, " and ",
                           kDecodeSymbol);
  if (program.hasEncoder() && !encoder)
    return invalidArgument("executable must have the entry ", kEncoderSymbol, ", since its program reads sources");
  auto code = std::make_unique<Code>();
  code->program = std::move(program);
  code->prefill = prefill;
  code->decode = decode;
  code->encoder = encoder;
  code->owner = std::move(owner);
  return std::shared_ptr<const Executable>(new Executable(std::move(code)));
}

absl::StatusOr<std::shared_ptr<const Executable>> Executable::load(const std::string &path) {
  absl::StatusOr<MappedFile> file = MappedFile::open(path);
  if (!file.ok())
    return file.status();
  if (absl::Status status = checkObject(file->bytes(), path); !status.ok())
    return status;
  // Without a slash, dlopen searches the system's folders instead.
  const std::string found = path.find('/') == path.npos ? "./" + path : path;
  void *handle = ::dlopen(found.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return invalidArgument("file '", path, "' cannot be loaded: ", ::dlerror());
  std::shared_ptr<void> owner(handle, [](void *object) { ::dlclose(object); });
  void *symbols[3];
  const char *names[3] = {kManifestSymbol, kPrefillSymbol, kDecodeSymbol};
  for (int i = 0; i < 3; ++i) {
    symbols[i] = ::dlsym(handle, names[i]);
    if (!symbols[i])
      return invalidArgument("file '", path, "' must have the symbol '", names[i],
                             "'; is it made by graphc?");
  }
  absl::StatusOr<Program> program = parseProgram(static_cast<const char *>(symbols[0]), path);
  if (!program.ok())
    return program.status();
  auto executable = create(*std::move(program), reinterpret_cast<EntryPoint>(symbols[1]),
                           reinterpret_cast<EntryPoint>(symbols[2]), std::move(owner),
                           reinterpret_cast<EntryPoint>(::dlsym(handle, kEncoderSymbol)));
  if (!executable.ok())
    return absl::Status(executable.status().code(),
                        concat(path, ": ", executable.status().message()));
  return executable;
}

Executable::Executable(std::unique_ptr<const Code> code) : code(std::move(code)) {}
Executable::~Executable() = default;

const Program &Executable::program() const { return code->program; }

PlanRequest planRequest(const SessionOptions &options) {
  return {.batch = options.batch,
          .capacity = options.capacity,
          .sourceCapacity = options.sourceCapacity,
          .chunk = options.chunk,
          .threads = options.threads ? options.threads : availableCores(),
          .logitRows = options.logitRows,
          .stateRows = options.stateRows};
}

absl::StatusOr<std::string> Executable::planText(const SessionOptions &options) const {
  absl::StatusOr<MemoryPlan> plan = planMemory(code->program, planRequest(options));
  if (!plan.ok())
    return plan.status();
  return plan->text();
}

absl::StatusOr<std::string> Executable::planJson(const SessionOptions &options) const {
  absl::StatusOr<MemoryPlan> plan = planMemory(code->program, planRequest(options));
  if (!plan.ok())
    return plan.status();
  return plan->json().dump(2);
}

absl::StatusOr<uint64_t> Executable::planBytes(const SessionOptions &options) const {
  absl::StatusOr<MemoryPlan> plan = planMemory(code->program, planRequest(options));
  if (!plan.ok())
    return plan.status();
  return plan->total();
}

absl::Status Executable::checkBudget(const SessionOptions &options, uint64_t budget) const {
  return graphc::checkBudget(code->program, planRequest(options), budget);
}

} // namespace graphc
