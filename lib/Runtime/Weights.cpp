#include "Runtime/Cores.h"
#include "Runtime/Weights.h"
#include "Support/Message.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <sys/mman.h>
#include <system_error>
#include <thread>
#include <tuple>

namespace graphc {

using Kind = Binding::Kind;

namespace {
std::string shapeText(const std::vector<int64_t> &shape) { return concat("(", join(shape), ")"); }

/// The shape that the tensor of `parameter` has in the checkpoint.
std::vector<int64_t> storedShape(const Binding &parameter) {
  std::vector<int64_t> shape;
  for (const Dim &dim : parameter.dims)
    shape.push_back(dim.offset);
  if (parameter.transpose)
    std::swap(shape[0], shape[1]);
  return shape;
}

absl::Status checkTensor(const Binding &parameter, const TensorInfo &tensor) {
  if (tensor.dtype != parameter.stored)
    return invalidArgument("tensor '", tensor.name, "' in ", tensor.file, " must be ",
                           info(parameter.stored).name, " for parameter '", parameter.name,
                           "', got ", tensor.dtypeName,
                           "; compile the model again from this checkpoint");
  const std::vector<int64_t> expected = storedShape(parameter);
  if (!hasShape(tensor.shape, expected))
    return invalidArgument("tensor '", tensor.name, "' in ", tensor.file, " must have shape ",
                           shapeText(expected), " for parameter '", parameter.name, "', got ",
                           shapeText(tensor.shape));
  return absl::OkStatus();
}

/// One conversion, which several bindings may share.
struct Job {
  const Binding *parameter;
  const TensorInfo *tensor;
  uint64_t offset; ///< In the memory of converted weights.
  uint64_t elements;
  size_t entry; ///< In the ledger.
};

constexpr uintptr_t kPage = 4096;
/// The kernel maps a file's pages around the one that is touched, in a large folio
/// up to this many bytes, aligned.
constexpr uintptr_t kMostAtOnce = uintptr_t(2) << 20;

/// Gives back pages of a file that were read once only: the plan counts what is
/// used in place, and converted copies. They stay in the page cache, and come back
/// if they are touched again.
void release(std::span<const std::byte> bytes) {
  const auto start = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t first = (start + kPage - 1) / kPage * kPage, last = (start + bytes.size()) / kPage * kPage;
  if (first < last)
    (void)::madvise(reinterpret_cast<void *>(first), last - first, MADV_DONTNEED);
}

/// Runs the jobs, each cut into pieces, on all cores. Returns for each how many
/// elements it put beyond its type's range. Of the file, a piece a core is resident
/// at a time; of a tensor that is transposed, all of it.
std::vector<std::atomic<uint64_t>> convertAll(const std::vector<Job> &jobs, std::byte *memory) {
  constexpr uint64_t kPiece = uint64_t(1) << 20;
  std::vector<std::pair<const Job *, uint64_t>> pieces;
  for (const Job &job : jobs)
    for (uint64_t first = 0; first < job.elements; first += kPiece)
      pieces.push_back({&job, first});
  std::vector<std::atomic<uint64_t>> lost(jobs.size());
  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t i; (i = next++) < pieces.size();) {
      const auto [job, first] = pieces[i];
      const uint64_t last = std::min(first + kPiece, job->elements);
      lost[size_t(job - jobs.data())] += convertElements(*job->parameter, job->tensor->data, first, last, memory + job->offset);
      if (!job->parameter->transpose) {
        const uint64_t size = byteSize(job->parameter->stored);
        release({job->tensor->data + first * size, (last - first) * size});
      }
    }
  };
  std::vector<std::thread> threads;
  try {
    while (threads.size() + 1 < std::min(size_t(availableCores()), pieces.size()))
      threads.emplace_back(work);
  } catch (const std::system_error &) { // no more threads to be had: fewer do it all
  }
  work();
  for (std::thread &thread : threads)
    thread.join();
  return lost;
}
} // namespace

/// Bytes of a mapped `file` that may become resident with those of `tensors`.
static uint64_t besideTensors(std::span<const std::byte> file, std::span<const std::span<const std::byte>> tensors) {
  const auto begin = reinterpret_cast<uintptr_t>(file.data()), end = (begin + file.size() + kPage - 1) / kPage * kPage;
  std::vector<std::pair<uintptr_t, uintptr_t>> windows;
  uint64_t used = 0, resident = 0;
  for (std::span<const std::byte> tensor : tensors) {
    const auto first = reinterpret_cast<uintptr_t>(tensor.data()), last = first + tensor.size();
    if (first < begin || first >= end || tensor.empty())
      continue;
    used += tensor.size();
    windows.emplace_back(std::max(begin, first / kMostAtOnce * kMostAtOnce),
                         std::min(end, (last + kMostAtOnce - 1) / kMostAtOnce * kMostAtOnce));
  }
  std::sort(windows.begin(), windows.end());
  uintptr_t counted = begin;
  for (auto [first, last] : windows) {
    resident += last - std::min(last, std::max(first, counted));
    counted = std::max(counted, last);
  }
  return resident - used;
}

absl::StatusOr<Weights> Weights::open(const Program &program, const std::string &folder) {
  Weights weights;
  weights.pointers.resize(program.bindings.size());
  const bool any = std::any_of(program.bindings.begin(), program.bindings.end(),
                               [](const Binding &b) { return b.kind == Kind::Parameter; });
  if (!any)
    return weights;
  absl::StatusOr<Checkpoint> checkpoint = Checkpoint::open(folder);
  if (!checkpoint.ok())
    return checkpoint.status();
  weights.checkpoint.push_back(*std::move(checkpoint));

  struct First {
    size_t binding, entry;
  };
  /// The first binding with the same tensor and conversion, and its ledger entry.
  std::map<std::tuple<const TensorInfo *, DType, bool, std::vector<DType>>, First> made;
  std::map<size_t, uint64_t> offsets; // of bindings that own converted memory
  std::map<size_t, size_t> shared;    // binding -> the one it shares with
  std::vector<Job> jobs;
  std::vector<std::span<const std::byte>> inPlace;
  Layout layout;
  for (size_t i = 0; i < program.bindings.size(); ++i) {
    const Binding &parameter = program.bindings[i];
    if (parameter.kind != Kind::Parameter)
      continue;
    const TensorInfo *tensor = weights.checkpoint.front().find(parameter.source);
    if (!tensor)
      return invalidArgument("folder '", folder, "' must have the tensor '", parameter.source,
                             "' for parameter '", parameter.name, "', got none of that name");
    if (absl::Status status = checkTensor(parameter, *tensor); !status.ok())
      return status;
    Residency entry{parameter.name, parameter.source, Residency::State::InPlace, tensor->bytes, ""};
    const auto [entryOf, isNew] =
        made.try_emplace({tensor, parameter.dtype, parameter.transpose, parameter.roundings},
                         First{i, weights.ledger.size()});
    if (!isNew) {
      const First &first = entryOf->second;
      shared[i] = first.binding;
      entry.state = weights.ledger[first.entry].state;
      entry.bytes = 0;
      entry.why = concat("tied to ", program.bindings[first.binding].name);
    } else if (parameter.isInPlace() &&
               reinterpret_cast<uintptr_t>(tensor->data) % byteSize(parameter.dtype) == 0) {
      weights.pointers[i] = tensor->data;
      inPlace.emplace_back(tensor->data, tensor->bytes);
    } else {
      const uint64_t elements = tensor->bytes / byteSize(parameter.stored);
      entry.state =
          parameter.isInPlace() ? Residency::State::Copied : Residency::State::Converted;
      entry.why = parameter.isInPlace() ? concat("not aligned to ", byteSize(parameter.dtype),
                                                 " bytes in ", tensor->file)
                                        : conversionText(parameter);
      entry.bytes = elements * byteSize(parameter.dtype);
      offsets[i] = layout.place(entry.bytes);
      jobs.push_back({&parameter, tensor, offsets[i], elements, weights.ledger.size()});
    }
    weights.ledger.push_back(std::move(entry));
  }
  absl::StatusOr<Memory> memory = Memory::reserve(layout.size(), "converted weights");
  if (!memory.ok())
    return memory.status();
  weights.converted = *std::move(memory);
  const std::vector<std::atomic<uint64_t>> lost = convertAll(jobs, weights.converted.data());
  // The headers, and what was converted, were read once. Whole files: pages at the
  // ends of tensors belong to two of them, and neighbours came back with what was
  // read beside them.
  for (const MappedFile &file : weights.checkpoint.front().mappings())
    release({file.bytes().data(), (file.bytes().size() + kPage - 1) / kPage * kPage});
  for (size_t i = 0; i < jobs.size(); ++i)
    if (lost[i])
      weights.ledger[jobs[i].entry].why += concat(", ", lost[i].load(), " beyond its range");
  for (auto [binding, offset] : offsets)
    weights.pointers[binding] = weights.converted.data() + offset;
  for (auto [binding, first] : shared)
    weights.pointers[binding] = weights.pointers[first];
  weights.endsOfPages = weights.converted.size() - layout.size();
  for (const MappedFile &file : weights.checkpoint.front().mappings())
    weights.endsOfPages += besideTensors(file.bytes(), inPlace);
  return weights;
}

} // namespace graphc
