// Threads are those of libomp, as in compiled code: threads of our own would
// share the cores with libomp's, which wait actively for a while after a call.
#include "tools/bench/Calibration.h"

#include "tools/bench/PeakLoops.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <unistd.h>

extern "C" {
// libomp's entries for compilers (openmp/runtime/src/kmp.h).
typedef void (*GraphcMicrotask)(int32_t *globalThread, int32_t *thread, ...);
int32_t __kmpc_global_thread_num(void *location);
void __kmpc_push_num_threads(void *location, int32_t globalThread, int32_t threads);
void __kmpc_fork_call(void *location, int32_t arguments, GraphcMicrotask microtask, ...);
}

namespace graphc::bench {

namespace {
/// ident_t of kmp.h; 2 marks an entry made by a compiler.
struct Location {
  int32_t reserved1 = 0, flags = 2, reserved2 = 0, reserved3 = 0;
  const char *source = ";bench;calibration;0;0;;";
};

struct Region {
  void (*body)(int64_t, void *);
  void *context;
};

void enter(int32_t *, int32_t *thread, Region *region) { region->body(*thread, region->context); }

constexpr uint64_t kPart = uint64_t(64) << 20; ///< Bytes that one measurement reads.
constexpr int64_t kSteps = int64_t(1) << 18;   ///< Of a peak loop: about a millisecond.

double operationsPerSecond(const PeakLoop &loop, int64_t threads) {
  if (!loop.run)
    return 0;
  auto body = [](int64_t, void *run) { reinterpret_cast<void (*)(int64_t)>(run)(kSteps); };
  return loop.operations * double(kSteps * threads) / timeOnThreads(threads, body, reinterpret_cast<void *>(loop.run));
}
} // namespace

double timeOnThreads(int64_t threads, void (*body)(int64_t, void *), void *context) {
  static Location location;
  Region region{body, context};
  const auto start = std::chrono::steady_clock::now();
  __kmpc_push_num_threads(&location, __kmpc_global_thread_num(&location), int32_t(threads));
  __kmpc_fork_call(&location, 1, reinterpret_cast<GraphcMicrotask>(&enter), &region);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Limits Limits::between(const Limits &before, const Limits &after) {
  return {(before.readBandwidth + after.readBandwidth) / 2, (before.dotPeak + after.dotPeak) / 2,
          (before.f32Peak + after.f32Peak) / 2};
}

absl::StatusOr<Calibration> Calibration::create(const Target &target) {
  const int64_t cache = std::max<int64_t>(::sysconf(_SC_LEVEL3_CACHE_SIZE), 0);
  // Twice the cache, so that what a measurement reads was evicted since; no more
  // than 1 GiB: a virtual machine may be told of caches that it shares.
  const uint64_t bytes = std::clamp<uint64_t>(2 * uint64_t(cache), 4 * kPart, 16 * kPart) / kPart * kPart;
  absl::StatusOr<Memory> buffer = Memory::reserve(bytes, "calibration buffer");
  if (!buffer.ok())
    return buffer.status();
  std::memset(buffer->data(), 1, bytes); // untouched pages would all be one page of zeros
  return Calibration(target, *std::move(buffer));
}

double Calibration::readBandwidth(int64_t threads) {
  struct Part {
    ReadLoop loop;
    const std::byte *data;
    uint64_t share;
  } part{readLoop(*target), buffer.data() + next, kPart / uint64_t(threads) / 256 * 256};
  next = (next + kPart) % buffer.size();
  auto body = [](int64_t thread, void *context) {
    const Part &part = *static_cast<const Part *>(context);
    part.loop(part.data + uint64_t(thread) * part.share, part.share);
  };
  return double(part.share * uint64_t(threads)) / timeOnThreads(threads, body, &part);
}

Limits Calibration::measure(int64_t threads) {
  return {readBandwidth(threads), operationsPerSecond(dotLoop(*target), threads),
          operationsPerSecond(f32Loop(*target), threads)};
}

} // namespace graphc::bench
