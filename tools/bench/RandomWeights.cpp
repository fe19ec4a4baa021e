// Values do not matter for time as long as none is subnormal, infinite or NaN on
// the way: kernels are uniform in +-0.04, vectors (scales, biases) in 1 +- 0.04.
// A block of values is drawn once for each dtype and written over and over.
#include "tools/bench/RandomWeights.h"

#include "Support/Message.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace graphc::bench {

namespace {
constexpr uint64_t kBlock = uint64_t(8) << 20;
constexpr uint64_t kTensorAlignment = 64;

struct Tensor {
  DType dtype;
  std::vector<int64_t> shape; ///< As stored.
  uint64_t begin = 0, bytes = 0;
};

/// The checkpoint's tensors by name; ties are one.
std::map<std::string, Tensor> tensorsOf(const Program &program) {
  std::map<std::string, Tensor> tensors;
  for (const Binding &binding : program.bindings) {
    if (binding.kind != Binding::Kind::Parameter)
      continue;
    Tensor tensor{binding.stored, {}};
    tensor.bytes = byteSize(binding.stored);
    for (const Dim &dim : binding.dims) {
      tensor.shape.push_back(dim.offset);
      tensor.bytes *= uint64_t(dim.offset);
    }
    if (binding.transpose)
      std::swap(tensor.shape[0], tensor.shape[1]);
    tensors.emplace(binding.source, std::move(tensor));
  }
  return tensors;
}

/// `bytes` bytes of values of `dtype` around `center`.
std::string randomBlock(DType dtype, float center, uint64_t bytes) {
  std::string block(bytes, '\0');
  uint64_t state = 0x9e3779b97f4a7c15;
  for (uint64_t at = 0; at + byteSize(dtype) <= bytes; at += byteSize(dtype)) {
    state = state * 6364136223846793005 + 1442695040888963407; // Knuth, MMIX
    storeElement(dtype, &block[at], center + 0.04f * (float(int32_t(state >> 32)) * 0x1p-31f));
  }
  return block;
}

absl::Status failure(std::string_view what, int error) {
  const std::string message = concat("random weights cannot be ", what, " in the folder for temporary files (TMPDIR): ",
                                     std::strerror(error));
  return error == ENOSPC ? absl::ResourceExhaustedError(message) : absl::UnavailableError(message);
}

absl::Status writeAll(int file, const char *data, uint64_t bytes) {
  while (bytes) {
    const ssize_t written = ::write(file, data, bytes);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return failure("written", written < 0 ? errno : EIO);
    data += written;
    bytes -= uint64_t(written);
  }
  return absl::OkStatus();
}

/// The safetensors header with its length in front, padded so that data is
/// aligned; sets where each tensor begins.
std::string headerOf(std::map<std::string, Tensor> &tensors) {
  nlohmann::json header = nlohmann::json::object();
  uint64_t end = 0;
  for (auto &[name, tensor] : tensors) {
    tensor.begin = end;
    end += tensor.bytes;
    header[name] = {{"dtype", std::string(info(tensor.dtype).safetensors)}, {"shape", tensor.shape},
                    {"data_offsets", {tensor.begin, end}}};
  }
  std::string text = header.dump();
  text.append(-(text.size() + 8) % kTensorAlignment, ' ');
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char *>(&length), 8) + text;
}

absl::Status writeTensors(int file, const std::map<std::string, Tensor> &tensors) {
  std::map<std::pair<DType, bool>, std::string> blocks;
  for (const auto &[name, tensor] : tensors) {
    const bool isKernel = tensor.shape.size() > 1;
    std::string &block = blocks[{tensor.dtype, isKernel}];
    if (block.size() < std::min(tensor.bytes, kBlock))
      block = randomBlock(tensor.dtype, isKernel ? 0 : 1, std::min(tensor.bytes, kBlock));
    for (uint64_t done = 0; done < tensor.bytes; done += block.size())
      if (absl::Status status = writeAll(file, block.data(), std::min<uint64_t>(block.size(), tensor.bytes - done)); !status.ok())
        return status;
  }
  return absl::OkStatus();
}
} // namespace

RandomWeights::~RandomWeights() {
  std::error_code error;
  if (!path.empty())
    std::filesystem::remove_all(path, error);
  if (file >= 0)
    ::close(file);
}

absl::StatusOr<RandomWeights> RandomWeights::create(const Program &program) {
  std::error_code error;
  const std::filesystem::path temporary = std::filesystem::temp_directory_path(error);
  if (error)
    return failure("made", error.value());
  RandomWeights weights;
  std::string name = (temporary / "graphc-weights-XXXXXX").string();
  weights.file = ::mkostemp(name.data(), O_CLOEXEC);
  if (weights.file < 0)
    return failure("made", errno);
  ::unlink(name.c_str());
  std::string folder = (temporary / "graphc-bench-XXXXXX").string();
  if (!::mkdtemp(folder.data()))
    return failure("made", errno);
  weights.path = folder;
  std::filesystem::create_symlink(concat("/proc/self/fd/", weights.file), folder + "/model.safetensors", error);
  if (error)
    return failure("linked", error.value());

  std::map<std::string, Tensor> tensors = tensorsOf(program);
  const std::string header = headerOf(tensors);
  uint64_t bytes = header.size();
  for (const auto &[tensorName, tensor] : tensors)
    bytes += tensor.bytes;
  if (int code = ::posix_fallocate(weights.file, 0, off_t(bytes)); code != 0)
    return failure(concat("given ", bytes, " bytes"), code);
  if (absl::Status status = writeAll(weights.file, header.data(), header.size()); !status.ok())
    return status;
  if (absl::Status status = writeTensors(weights.file, tensors); !status.ok())
    return status;
  (void)::fdatasync(weights.file); // or it is written back during the runs
  return weights;
}

} // namespace graphc::bench
