// Runs a fuzz target without a fuzzer: on each seed, then on random mutations of them.
// The same inputs on every run, within a time box. An input that crashes, hangs or
// asks for more than 4 GiB is left in crash-input.
//   usage: ParserFuzz SEEDS.. [RUNS], each of SEEDS a file or a folder
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <csignal>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace {
constexpr size_t kLongest = 1 << 16;
constexpr std::chrono::seconds kTimeBox(10);
constexpr unsigned kHang = 10; // seconds
constexpr rlim_t kMostMemory = rlim_t(4) << 30;
/// What parsers stumble over.
const std::string kPieces[] = {"\"", "{", "}", "[", "]", ":", ",", "-1", "0", "1e999", "null",
                               "9223372036854775808", "4294967296", "\\u0000", "\xff", "\xf0\x9f",
                               std::string(8, '\0'), std::string(8, '\xff'), "((((", "*", "align",
                               "window:", "tensor<?x?xf32>", "!layer.none", "f16", "-1 : i64", "\n",
                               "9223372036854775807 : i64", "auto", "%0", "cross"};

class Mutator {
public:
  explicit Mutator(const std::vector<std::string> &seeds) : seeds(seeds) {}

  std::string next() {
    std::string text = seeds[below(seeds.size())];
    for (size_t count = 1 + below(6); count; --count)
      mutate(text);
    if (text.size() > kLongest)
      text.resize(kLongest);
    return text;
  }

private:
  size_t below(size_t bound) { return bound ? random() % bound : 0; }

  void mutate(std::string &text) {
    const size_t at = below(text.size() + 1), length = below(std::min<size_t>(text.size() - at, 32) + 1);
    const std::string &other = seeds[below(seeds.size())];
    const size_t from = below(other.size());
    switch (below(6)) {
    case 0:
      if (at < text.size())
        text[at] = char(random());
      break;
    case 1:
      text.insert(at, kPieces[below(std::size(kPieces))]);
      break;
    case 2:
      text.replace(at, length, kPieces[below(std::size(kPieces))]);
      break;
    case 3:
      text.erase(at, length);
      break;
    case 4:
      text.insert(at, text.substr(at, length));
      break;
    case 5:
      text.replace(at, length, other, from, below(64));
      break;
    }
  }

  const std::vector<std::string> &seeds;
  std::mt19937 random{1};
};

const std::string *current; // what runs now, for the signal handler

void leaveInput(int signal) {
  if (const int file = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC, 0644); file >= 0)
    (void)!write(file, current->data(), current->size());
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(const std::string &text) {
  current = &text;
  alarm(kHang);
  // A copy of exactly that size, so that a sanitizer sees reads past the end.
  const std::vector<uint8_t> bytes(text.begin(), text.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  alarm(0);
}

void limitMemory() {
#ifndef GRAPHC_SANITIZED // a sanitizer reserves far more than it uses
  const rlimit limit{kMostMemory, kMostMemory};
  setrlimit(RLIMIT_DATA, &limit);
#endif
}
} // namespace

int main(int argc, char **argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s SEEDS.. [RUNS]\n", argv[0]);
    return 2;
  }
  long runs = 20000;
  std::vector<std::string> paths, seeds{""};
  std::error_code none; // a parser may have no seeds
  for (int i = 1; i < argc; ++i)
    if (const long number = std::atol(argv[i]); number > 0)
      runs = number;
    else if (std::filesystem::is_regular_file(argv[i], none))
      paths.push_back(argv[i]);
    else
      for (const auto &entry : std::filesystem::directory_iterator(argv[i], none))
        paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const std::string &path : paths) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  limitMemory();
  for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGALRM})
    std::signal(signal, leaveInput);
  for (const std::string &seed : seeds)
    run(seed);
  Mutator mutator(seeds);
  const auto start = std::chrono::steady_clock::now();
  long done = 0;
  for (; done < runs && std::chrono::steady_clock::now() - start < kTimeBox; ++done)
    run(mutator.next());
  std::printf("%zu seeds, %ld mutations\n", seeds.size(), done);
  return 0;
}
