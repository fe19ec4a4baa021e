// LLVM's own splitCodeGen deals functions out by the hash of their names; here a
// handful of kernels makes up nearly all of the code, so they are dealt out by size.
#include "Codegen/ObjectParts.h"

#include "Support/Message.h"

#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/Module.h"
#include "llvm/Object/Archive.h"
#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Transforms/Utils/Cloning.h"

#include <algorithm>
#include <map>

namespace graphc {

std::vector<std::string> cutIntoParts(llvm::Module &module, unsigned count) {
  std::multimap<unsigned, llvm::Function *, std::greater<>> functions; // by size, equals in the module's order
  for (llvm::Function &function : module)
    if (!function.isDeclaration())
      functions.emplace(function.getInstructionCount(), &function);
  count = unsigned(std::clamp<size_t>(functions.size(), 1, count));
  std::vector<uint64_t> sizes(count);
  llvm::DenseMap<const llvm::GlobalValue *, size_t> partOf;
  for (auto [size, function] : functions) { // the largest first, each to the part that has least
    const size_t part = size_t(std::ranges::min_element(sizes) - sizes.begin());
    sizes[part] += size;
    partOf[function] = part;
    if (function->hasLocalLinkage()) {
      if (!function->hasName()) // a number is a name within one module only
        function->setName("function");
      function->setLinkage(llvm::GlobalValue::ExternalLinkage);
      function->setVisibility(llvm::GlobalValue::HiddenVisibility);
    }
  }
  std::vector<std::string> parts;
  for (size_t part = 0; part < count; ++part) {
    llvm::ValueToValueMapTy values;
    // Private constants go where they are used, that is everywhere; names that are
    // seen outside, of which the manifest is one, into the first part.
    std::unique_ptr<llvm::Module> clone = llvm::CloneModule(module, values, [&](const llvm::GlobalValue *value) {
      return llvm::isa<llvm::Function>(value) ? partOf.lookup(value) == part : value->hasLocalLinkage() || part == 0;
    });
    std::string &bitcode = parts.emplace_back();
    llvm::raw_string_ostream stream(bitcode);
    llvm::WriteBitcodeToFile(*clone, stream);
  }
  return parts;
}

std::string archiveOf(const std::vector<std::string> &objects) {
  std::vector<std::string> names;
  for (size_t i = 0; i < objects.size(); ++i)
    names.push_back(concat("graphc", i, ".o"));
  std::vector<llvm::NewArchiveMember> members;
  for (size_t i = 0; i < objects.size(); ++i)
    members.emplace_back(llvm::MemoryBufferRef(objects[i], names[i]));
  llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> archive = llvm::writeArchiveToBuffer(
      members, llvm::SymtabWritingMode::NormalSymtab, llvm::object::Archive::K_GNU, /*Deterministic=*/true, /*Thin=*/false);
  assert(archive && "objects that were just written can be put into an archive");
  return (*archive)->getBuffer().str();
}

absl::StatusOr<std::vector<std::string_view>> objectsIn(const std::string &code) {
  if (!llvm::StringRef(code).starts_with(llvm::object::ArchiveMagic))
    return std::vector<std::string_view>{code};
  const auto damaged = [](llvm::Error error) {
    return absl::InternalError(concat("archive of objects cannot be read: ", llvm::toString(std::move(error))));
  };
  llvm::Expected<std::unique_ptr<llvm::object::Archive>> archive =
      llvm::object::Archive::create(llvm::MemoryBufferRef(code, "graphc.a"));
  if (!archive)
    return damaged(archive.takeError());
  std::vector<std::string_view> objects;
  llvm::Error error = llvm::Error::success();
  for (const llvm::object::Archive::Child &child : (*archive)->children(error)) {
    llvm::Expected<llvm::StringRef> bytes = child.getBuffer();
    if (!bytes) {
      llvm::consumeError(std::move(error));
      return damaged(bytes.takeError());
    }
    objects.push_back(std::string_view(*bytes));
  }
  if (error)
    return damaged(std::move(error));
  return objects;
}

} // namespace graphc
