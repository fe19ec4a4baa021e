// Support/Npy: files that NumPy wrote, round trips, and hostile headers.
#include "Support/Npy.h"
#include "Support/File.h"

#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>

using namespace graphc;

namespace {
std::string temporaryPath(std::string_view name) {
  return (std::filesystem::path(testing::TempDir()) / name).string();
}

bool contains(absl::string_view text, std::string_view part) {
  return std::string_view(text.data(), text.size()).find(part) != std::string_view::npos;
}

/// A version 1 file with this header text and `dataBytes` zero bytes.
std::string npy(std::string header, size_t dataBytes) {
  header += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += char(header.size() & 0xff);
  file += char(header.size() >> 8);
  return file + header + std::string(dataBytes, '\0');
}

template <typename T> NpyArray arrayOf(DType dtype, std::vector<int64_t> shape, std::vector<T> v) {
  NpyArray array{std::move(shape), dtype, std::vector<std::byte>(v.size() * sizeof(T))};
  if (!v.empty()) // memcpy takes no null pointers
    std::memcpy(array.data.data(), v.data(), array.data.size());
  return array;
}
} // namespace

TEST(Npy, writesTheBytesThatNumPyWrites) {
  // numpy.save of numpy.array([[1, 2], [3, 4]], dtype='<i4'), version 2.1.
  std::string expected("\x93NUMPY\x01\x00v\x00", 10);
  expected += "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 2), }";
  expected += std::string(58, ' ') + "\n";
  expected += std::string("\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0", 16);
  const std::string path = temporaryPath("numpy.npy");
  ASSERT_TRUE(writeNpy(path, arrayOf<int32_t>(DType::I32, {2, 2}, {1, 2, 3, 4})).ok());
  EXPECT_EQ(*readFile(path), expected);
}

TEST(Npy, roundTripsEveryDtypeAndRank) {
  const std::string path = temporaryPath("roundtrip.npy");
  const auto check = [&](const NpyArray &array) {
    ASSERT_TRUE(writeNpy(path, array).ok());
    EXPECT_EQ(readFile(path)->size() % 64, array.data.size() % 64);
    auto back = readNpy(path);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(back->shape, array.shape);
    EXPECT_EQ(back->dtype, array.dtype);
    EXPECT_EQ(back->data, array.data);
  };
  check(arrayOf<float>(DType::F32, {3}, {1, -2, 3.5}));
  check(arrayOf<double>(DType::F64, {}, {0.1}));
  check(arrayOf<int64_t>(DType::I64, {1, 2, 1}, {1, -1}));
  check(arrayOf<uint16_t>(DType::F16, {2}, {0x3c00, 1}));
  check(arrayOf<float>(DType::F32, {4, 0, 7}, {}));
  EXPECT_EQ(arrayOf<float>(DType::F32, {3}, {1, -2, 3.5}).values<float>()[2], 3.5f);
}

TEST(Npy, readsVersionTwo) {
  std::string header = "{'shape': (1,), 'fortran_order': False, 'descr': '<f4'}\n";
  std::string file("\x93NUMPY\x02\x00", 8);
  file += std::string({char(header.size()), 0, 0, 0}) + header + std::string("\0\0\x80\x3f", 4);
  auto array = parseNpy(file, "v2");
  ASSERT_TRUE(array.ok()) << array.status();
  EXPECT_EQ(array->values<float>()[0], 1.0f);
}

TEST(Npy, refusesHostileHeaders) {
  const char *good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  ASSERT_TRUE(parseNpy(npy(good, 24), "t").ok());
  const auto refused = [](const std::string &file, std::string_view reason) {
    auto array = parseNpy(file, "t.npy");
    ASSERT_FALSE(array.ok()) << file;
    EXPECT_TRUE(contains(array.status().message(), reason)) << array.status();
    EXPECT_TRUE(array.status().message().substr(0, 7) == "t.npy: ") << array.status();
  };
  for (size_t length = 0; length < npy(good, 24).size(); ++length)
    EXPECT_FALSE(parseNpy(npy(good, 24).substr(0, length), "t").ok()) << length;
  refused(npy(good, 25), "must fill the file, got 25 bytes");
  refused(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 24), "C-ordered copy");
  refused(npy("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", 24), "got ''>f4'");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3), }", 24), "extents");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2 3), }", 24), "after an extent");
  refused(npy("{'descr': '<f4', 'fortran_order': False}", 24), "each of descr");
  refused(npy("{'descr': '<f4', 'descr': '<f4', 'shape': (6,)}", 24), "each of descr");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } x", 24),
          "nothing after");
  refused(npy("{'descr': '<f4', 'fortran_order': False, "
              "'shape': (4294967296, 4294967296, 4294967296, 0), }",
              4),
          "got 4 bytes");
  // A product that wraps round to 0, and one that wraps to the data's size.
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,), }", 0),
          "must fill the file");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387905,), }", 4),
          "must fill the file");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 4),
          "extents");
  std::string shape;
  for (int i = 0; i < 100; ++i)
    shape += "1, ";
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + ")}", 4),
          "64 extents");
  refused(std::string("\x93NUMPY\x03\x00\x01\x00\n", 11), "version");
  refused(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12), "1 MiB");
}

TEST(Npy, refusesToWriteWhatDoesNotFit) {
  const std::string path = temporaryPath("never.npy");
  EXPECT_FALSE(writeNpy(path, {{2}, DType::F32, std::vector<std::byte>(4)}).ok());
  EXPECT_FALSE(writeNpy(path, {{-1}, DType::F32, {}}).ok());
  EXPECT_TRUE(contains(writeNpy(path, {{0}, DType::BF16, {}}).message(), "widen it"));
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(File, replacesAtomicallyAndLeavesNothingBehind) {
  const std::string folder = temporaryPath("graphc-file-test");
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  ASSERT_TRUE(writeFileAtomically(folder + "/a", {"one"}).ok());
  ASSERT_TRUE(writeFileAtomically(folder + "/a", {"t", "", "wo"}).ok());
  EXPECT_TRUE(checkWritable(folder + "/a").ok());
  EXPECT_TRUE(checkWritable(folder + "/b").ok());
  EXPECT_TRUE(checkWritable("/dev/null").ok());
  EXPECT_EQ(checkWritable(folder + "/none/a").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(checkWritable(folder).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(*readFile(folder + "/a"), "two");
  const auto entries = std::filesystem::directory_iterator(folder);
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
  EXPECT_EQ(writeFileAtomically(folder + "/none/a", {"x"}).code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(writeFileAtomically("/dev/null", {"x"}).ok());
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_EQ(readFile(folder).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(readFile(folder + "/a", 2).status().code(), absl::StatusCode::kInvalidArgument);
}
