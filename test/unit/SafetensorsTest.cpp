// Support/Safetensors: real folders, single and sharded, and headers that lie.
#include "Support/File.h"
#include "Support/Safetensors.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <sys/stat.h>

using namespace graphc;

/// A file of `header` and `dataBytes` zeros.
static std::string file(std::string_view header, size_t dataBytes, uint64_t length = ~uint64_t(0)) {
  if (length == ~uint64_t(0))
    length = header.size();
  std::string bytes;
  for (int i = 0; i < 8; ++i)
    bytes += char(length >> (8 * i));
  return bytes + std::string(header) + std::string(dataBytes, '\0');
}

static absl::StatusOr<std::vector<TensorInfo>> parse(const std::string &bytes) {
  return parseSafetensors(std::as_bytes(std::span(bytes)), "f");
}

static std::string failure(const std::string &bytes) {
  return std::string(parse(bytes).status().message());
}

/// The error for one tensor entry with `data` bytes of data.
static std::string failure(std::string_view entry, size_t data) {
  return failure(file("{\"a\": " + std::string(entry) + "}", data));
}

TEST(Safetensors, readsTensors) {
  const std::string bytes = file(
      R"({"__metadata__": {"format": "pt"}, "b": {"dtype": "F8_E8M0", "shape": [3], "data_offsets": [8, 11]},
          "a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]},
          "s": {"dtype": "F32", "shape": [], "data_offsets": [11, 15]},
          "e": {"dtype": "F16", "shape": [0, 7], "data_offsets": [8, 8]}})", 15);
  auto tensors = parse(bytes);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 4u);
  const TensorInfo &a = (*tensors)[0], &e = (*tensors)[1], &b = (*tensors)[2], &s = (*tensors)[3];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.dtype, DType::BF16);
  EXPECT_EQ(a.shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(a.data, std::as_bytes(std::span(bytes)).data() + bytes.size() - 15);
  EXPECT_EQ(a.bytes, 8u);
  EXPECT_EQ(a.file, "f");
  EXPECT_EQ(e.bytes, 0u);
  EXPECT_EQ(b.dtype, std::nullopt);
  EXPECT_EQ(b.dtypeName, "F8_E8M0");
  EXPECT_TRUE(s.shape.empty());
}

TEST(Safetensors, refusesLyingLengths) {
  EXPECT_EQ(failure("1234567"), "f: file must have at least 8 bytes, got 7");
  EXPECT_EQ(failure(file("{}", 0, 3)), "f: header must have at most 2 bytes, got 3");
  EXPECT_EQ(failure(file("{}", 0, ~uint64_t(1))),
            "f: header must have at most 2 bytes, got 18446744073709551614");
  EXPECT_EQ(failure(file("{}", 4)), "f: data must end with the last tensor at byte 0, got 4 bytes");
  EXPECT_TRUE(parse(file("{}", 0)).ok());
}

TEST(Safetensors, refusesMalformedHeaders) {
  EXPECT_FALSE(parse(file("{", 0)).ok());
  EXPECT_EQ(failure(file("[]", 0)), "f: header must be an object, got an array of 0");
  EXPECT_EQ(failure(file(R"({"a": 1, "a": 2})", 0)),
            "f: key 'a' must appear once in its object, got it twice");
  EXPECT_EQ(failure("[]", 0), "f: tensor 'a': key 'dtype' must be a string in an object, got an "
                              "array of 0 in place of the object");
  EXPECT_EQ(failure(R"({"shape": [1], "data_offsets": [0, 4]})", 4),
            "f: tensor 'a': key 'dtype' must be a string, got nothing");
  EXPECT_EQ(failure(R"({"dtype": "F32", "shape": [1], "data_offsets": [0]})", 4),
            "f: tensor 'a': data_offsets must have 2 entries, got 1");
  EXPECT_EQ(failure(R"({"dtype": "F32", "shape": 1, "data_offsets": [0, 4]})", 4),
            "f: tensor 'a': key 'shape' must be an array, got number 1");
}

TEST(Safetensors, refusesRangesOutsideTheData) {
  EXPECT_EQ(failure(R"({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]})", 4),
            "f: tensor 'a': data must end within the file's 4 bytes of data, got number 8");
  EXPECT_EQ(failure(R"({"dtype": "F32", "shape": [0], "data_offsets": [4, 0]})", 4),
            "f: tensor 'a': data must begin before its end 0, got number 4");
  EXPECT_EQ(failure(R"({"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]})", 4),
            "f: tensor 'a': data must begin before its end 0, got number -4");
  EXPECT_EQ(failure(R"({"dtype": "F32", "shape": [1], "data_offsets": [0, 1e300]})", 4),
            "f: tensor 'a': data must end within the file's 4 bytes of data, got number 1e+300");
}

TEST(Safetensors, refusesShapesThatDisagreeWithTheRange) {
  EXPECT_EQ(failure(R"({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]})", 4),
            "f: tensor 'a': data must have 8 bytes for F32 of shape (2), got 4");
  // 2^62 elements of 4 bytes wrap to 0 in 64 bits.
  EXPECT_EQ(failure(R"({"dtype": "F32", "shape": [2147483648, 2147483648], "data_offsets": [0, 0]})", 0),
            "f: tensor 'a': shape (2147483648, 2147483648) has too many elements");
  EXPECT_EQ(failure(R"({"dtype": "F32", "shape": [4294967296, 4294967296, 4294967296], "data_offsets": [0, 0]})", 0),
            "f: tensor 'a': shape (4294967296, 4294967296) has too many elements");
  EXPECT_EQ(failure(R"({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]})", 4),
            "f: tensor 'a': shape must hold sizes, got number -1");
}

TEST(Safetensors, refusesOverlapsAndHoles) {
  EXPECT_EQ(failure(file(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                             "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})", 8)),
            "f: tensor 'b' must begin at byte 8 of the data, where the one before it ends, got 4");
  EXPECT_EQ(failure(file(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})", 8)),
            "f: tensor 'a' must begin at byte 0 of the data, where the one before it ends, got 4");
}

/// A folder that exists as long as the test.
class CheckpointTest : public ::testing::Test {
protected:
  void SetUp() override {
    char name[] = "/tmp/graphc-checkpoint-XXXXXX";
    folder = ::mkdtemp(name);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  void write(const std::string &name, std::string_view bytes) {
    ASSERT_TRUE(writeFileAtomically(folder + "/" + name, {bytes}).ok());
  }
  std::string openFailure() { return std::string(Checkpoint::open(folder).status().message()); }
  std::string folder;
};

static const char *const kOneTensor = R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})";

TEST_F(CheckpointTest, opensShards) {
  write("model.safetensors.index.json",
        R"({"metadata": {}, "weight_map": {"a": "1.safetensors", "b": "2.safetensors", "c": "2.safetensors"}})");
  write("1.safetensors", file(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})", 4));
  // An extra tensor that the index does not name is no part of the checkpoint.
  write("2.safetensors", file(R"({"a": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]},
                                  "b": {"dtype": "F16", "shape": [1], "data_offsets": [2, 4]},
                                  "c": {"dtype": "F16", "shape": [1], "data_offsets": [4, 6]}})", 6));
  auto checkpoint = Checkpoint::open(folder);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  ASSERT_EQ(checkpoint->tensors().size(), 3u);
  EXPECT_EQ(checkpoint->find("a")->dtype, DType::F32);
  EXPECT_EQ(checkpoint->find("c")->file, "2.safetensors");
  EXPECT_EQ(checkpoint->find("d"), nullptr);
  const TensorInfo *b = checkpoint->find("b");
  Checkpoint moved = *std::move(checkpoint);
  EXPECT_EQ(moved.find("b"), b);
  EXPECT_EQ(moved.find("b")->data[1], std::byte(0));
}

TEST_F(CheckpointTest, refusesIndexesThatLie) {
  write("model.safetensors.index.json", R"({"weight_map": {"a": "../1.safetensors"}})");
  EXPECT_EQ(openFailure(), "model.safetensors.index.json: tensor 'a' must be in a file of the same "
                           "folder, got string '../1.safetensors'");
  write("model.safetensors.index.json", R"({"weight_map": {"z": "1.safetensors"}})");
  EXPECT_EQ(openFailure(), "file '" + folder + "/1.safetensors' cannot be opened: No such file or directory");
  EXPECT_EQ(Checkpoint::open(folder).status().code(), absl::StatusCode::kInvalidArgument);
  write("1.safetensors", file(kOneTensor, 4));
  EXPECT_EQ(openFailure(),
            "model.safetensors.index.json: tensor 'z' must be in 1.safetensors, got nothing there");
}

TEST_F(CheckpointTest, saysWhatIsMissing) {
  EXPECT_EQ(openFailure(), "checkpoint '" + folder + "' must have model.safetensors or "
                           "model.safetensors.index.json, got neither");
  write("pytorch_model.bin", "x");
  EXPECT_NE(openFailure().find("convert it"), std::string::npos);
  EXPECT_EQ(Checkpoint::open(folder + "/x").status().message(),
            "checkpoint '" + folder + "/x' must be a folder, got nothing");
}

TEST_F(CheckpointTest, neitherHangsNorCrashesOnOddFiles) {
  const std::string path = folder + "/model.safetensors";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(openFailure(), "path '" + path + "' must be a regular file, got a device or pipe");
  std::filesystem::remove(path);
  write("model.safetensors", "");
  EXPECT_EQ(openFailure(), "model.safetensors: file must have at least 8 bytes, got 0");
}

TEST(Checkpoint, opensTheFixtures) {
  auto sharded = Checkpoint::open(GRAPHC_TEST_DIR "/models/llama/llama3");
  ASSERT_TRUE(sharded.ok()) << sharded.status();
  const TensorInfo *norm = sharded->find("model.norm.weight");
  ASSERT_TRUE(norm);
  EXPECT_EQ(norm->dtype, DType::BF16);
  EXPECT_EQ(norm->shape, std::vector<int64_t>{44});
  auto single = Checkpoint::open(GRAPHC_TEST_DIR "/models/gpt2/gelu_new");
  ASSERT_TRUE(single.ok()) << single.status();
  EXPECT_TRUE(single->find("transformer.ln_f.bias"));
}
