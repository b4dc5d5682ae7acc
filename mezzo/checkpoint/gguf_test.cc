// What the gguf package wrote reads as that package reads it and is written back byte for byte.
// The malformed files, one a refusal, are in the corpus and replayed by fuzz_test.cc.
#include "mezzo/checkpoint/gguf.h"

#include "mezzo/checkpoint/testing.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

std::string RefusalOf(const std::string& name) {
  return Refusal([&] { ReadGguf(Corpus("gguf/" + name)); });
}

TEST(Gguf, DequantizesEveryTypeAsThePackage) {
  const Gguf file = ReadGguf(Corpus("gguf/ok_blocks"));
  EXPECT_EQ(ExpectReadsAsThePackage(file), 17);
  EXPECT_EQ(file.At("Q6_K").storage, Storage::kQ6K);
  EXPECT_EQ(file.At("Q6_K").shape, (Shape{2, 256}));
  EXPECT_EQ(file.At("Q6_K").bytes.size(), 2u * 210);
}

TEST(Gguf, ReadsEveryTypeOfMetadata) {
  for (const auto& [name, version] : {std::pair("gguf/ok_values", 3u), {"gguf/ok_v2", 2u}}) {
    const Gguf file = ReadGguf(Corpus(name));
    EXPECT_EQ(file.version, version);
    EXPECT_EQ(file.Get<std::string>("general.architecture"), "llama");
    EXPECT_EQ(file.Get<uint8_t>("scalar.0"), 200);
    EXPECT_EQ(file.Get<int8_t>("scalar.1"), -100);
    EXPECT_EQ(file.Get<uint16_t>("scalar.2"), 60000);
    EXPECT_EQ(file.Get<int16_t>("scalar.3"), -30000);
    EXPECT_EQ(file.Get<uint32_t>("scalar.4"), 4'000'000'000u);
    EXPECT_EQ(file.Get<int32_t>("scalar.5"), -2'000'000'000);
    EXPECT_EQ(file.Get<float>("scalar.6"), 1.5f);
    EXPECT_EQ(file.Get<bool>("scalar.7"), true);
    EXPECT_EQ(file.Get<std::string>("scalar.8"), "text: \u00e4");
    EXPECT_EQ(file.Get<uint64_t>("scalar.10"), uint64_t{1} << 63);
    EXPECT_EQ(file.Get<int64_t>("scalar.11"), -(int64_t{1} << 62));
    EXPECT_EQ(file.Get<double>("scalar.12"), 1e300);
    EXPECT_EQ(file.Get<std::vector<int16_t>>("array.3"), std::vector<int16_t>(3, -30000));
    EXPECT_EQ(file.Get<std::vector<bool>>("array.7"), std::vector<bool>(3, true));
    EXPECT_EQ(file.Get<std::vector<std::string>>("array.8"),
              std::vector<std::string>(3, "text: \u00e4"));
    EXPECT_EQ(file.Int("scalar.1"), -100);
    EXPECT_EQ(file.Int("scalar.4"), 4'000'000'000);
    EXPECT_EQ(*file.At("a").Rows(1, 2).data<float>(), 3);
  }
}

TEST(Gguf, WritesTheBytesOfThePackage) {
  for (const char* name : {"gguf/ok_blocks", "gguf/ok_values"}) {
    const Gguf file = ReadGguf(Corpus(name));
    const TemporaryFolder folder;
    const fs::path path = folder.path() / "copy.gguf";
    CheckpointWriter writer = WriteGguf(path, SpecsInFileOrder(file), file.metadata);
    AddAll(writer, file);
    writer.Commit();
    EXPECT_EQ(ReadFile(path), ReadFile(file.path)) << name;
  }
}

TEST(Gguf, RefusalsNameFileAndTensorOrKey) {
  EXPECT_EQ(RefusalOf("bad_truncated_data"),
            "gguf/bad_truncated_data: tensor 'b': needs 8 bytes from byte 1152, the file ends at "
            "1116");
  EXPECT_EQ(RefusalOf("bad_overlap"),
            "gguf/bad_overlap: tensor 'b': begins at byte 0 of the data, needs 32, where the one "
            "before it ends");
  EXPECT_EQ(RefusalOf("bad_part_of_block"),
            "gguf/bad_part_of_block: tensor 'a': has the shape [2,16], which is impossible for "
            "Q4_0");
  EXPECT_EQ(RefusalOf("bad_tensor_type"),
            "gguf/bad_tensor_type: tensor 'a': ggml_type 10 is not supported");
  EXPECT_EQ(RefusalOf("bad_array_count"),
            "gguf/bad_array_count: metadata 'a': claims 18446744073709551615 values, the file has "
            "23 bytes more");
  EXPECT_EQ(RefusalOf("bad_array_of_arrays"),
            "gguf/bad_array_of_arrays: metadata 'a': arrays of arrays are not supported");
  EXPECT_EQ(RefusalOf("bad_tensor_count"),
            "gguf/bad_tensor_count: tensor '': needs 8 bytes from byte 40, the file has 0");
  EXPECT_EQ(RefusalOf("bad_big_endian"), "gguf/bad_big_endian: is a big-endian GGUF file");
  EXPECT_EQ(RefusalOf("bad_alignment_type"),
            "gguf/bad_alignment_type: general.alignment must be a uint32 power of two from 8 on");
}

TEST(Gguf, RefusalsNameTheTypeOfAValue) {
  const Gguf file = ReadGguf(Corpus("gguf/ok_values"));
  EXPECT_EQ(Refusal([&] { file.Get<float>("none"); }),
            "gguf/ok_values: metadata 'none' is missing, needs float32");
  EXPECT_EQ(Refusal([&] { file.Get<std::string>("array.8"); }),
            "gguf/ok_values: metadata 'array.8' is array of string, needs string");
  EXPECT_EQ(Refusal([&] { file.Int("scalar.10"); }),
            "gguf/ok_values: metadata 'scalar.10' is uint64, needs an integer below 2^63");
  EXPECT_THROW(file.Int("scalar.7"), FileError);  // a bool
}

TEST(Gguf, RowsOfBlocksEndWhereBlocksDo) {
  const std::vector<uint8_t> bytes(36);
  const StoredTensor flat{Storage::kQ4_0, {64}, bytes, nullptr, "x"};
  EXPECT_EQ(flat.Rows(32, 64).numel(), 32);
  EXPECT_THROW(flat.Rows(1, 33), UsageError);
  EXPECT_THROW(flat.Rows(0, 16), UsageError);
  EXPECT_THROW(flat.Rows(32, 96), UsageError);
}

TEST(Gguf, RefusesToWriteWhatOthersCannotRead) {
  const TemporaryFolder folder;
  const auto write = [&](std::vector<TensorSpec> tensors, const GgufMetadata& metadata) {
    WriteGguf(folder.path() / "x.gguf", std::move(tensors), metadata);
  };
  EXPECT_THROW(write({{"a", Storage::kBool, {1}}}, {}), UsageError);
  EXPECT_THROW(write({{"a", Storage::kQ4_0, {32, 16}}}, {}), UsageError);
  EXPECT_THROW(write({{"a", Storage::kF32, {1, 1, 1, 1, 1}}}, {}), UsageError);
  EXPECT_THROW(write({{std::string(64, 'a'), Storage::kF32, {1}}}, {}), UsageError);
  EXPECT_THROW(write({}, {{"general.alignment", uint32_t{12}}}), UsageError);
  EXPECT_THROW(write({}, {{"general.alignment", uint64_t{32}}}), UsageError);
  EXPECT_THROW(write({}, {{"a", 1.0}, {"a", 1.0}}), UsageError);
  EXPECT_THROW(write({}, {{"", 1.0}}), UsageError);
  EXPECT_THROW(write({}, {{"a", std::vector<std::monostate>(1)}}), UsageError);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace mezzo
