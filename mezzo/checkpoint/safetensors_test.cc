// What the safetensors package wrote reads as NumPy reads it and is written back byte for byte.
// The malformed files, one a refusal, are in the corpus and replayed by fuzz_test.cc.
#include "mezzo/checkpoint/safetensors.h"

#include "mezzo/checkpoint/testing.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

std::string RefusalOf(const std::string& name) {
  return Refusal([&] { ReadSafetensors(Corpus("safetensors/" + name)); });
}

TEST(Safetensors, ReadsEveryDtypeAsThePackage) {
  const Safetensors file = ReadSafetensors(Corpus("safetensors/ok_types"));
  EXPECT_EQ(ExpectReadsAsThePackage(file), 16);
  EXPECT_EQ(file.metadata, (SafetensorsMetadata{{"format", "np"}}));
  EXPECT_EQ(file.At("BF16").storage, Storage::kBF16);
  EXPECT_EQ(file.At("BF16").shape, (Shape{2, 32}));
  EXPECT_EQ(*file.At("scalar").Read().data<float>(), 1.5f);
  EXPECT_EQ(file.At("empty").Read().shape(), (Shape{0, 3}));
  EXPECT_EQ(file.At("empty").Rows(0, 0).numel(), 0);
}

TEST(Safetensors, WritesTheBytesOfThePackage) {
  const Safetensors file = ReadSafetensors(Corpus("safetensors/ok_types"));
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "copy.safetensors";
  CheckpointWriter writer = WriteSafetensors(path, SpecsInFileOrder(file), file.metadata);
  AddAll(writer, file);
  EXPECT_FALSE(fs::exists(path));
  writer.Commit();
  EXPECT_EQ(ReadFile(path), ReadFile(file.path));
}

TEST(Safetensors, RefusalsNameFileAndTensor) {
  EXPECT_EQ(RefusalOf("bad_truncated"),
            "safetensors/bad_truncated: tensor 'a': ends at byte 8 of the data, which has 7");
  EXPECT_EQ(RefusalOf("bad_longer"),
            "safetensors/bad_longer: has 9 bytes of data, its tensors take 8");
  EXPECT_EQ(RefusalOf("bad_size"),
            "safetensors/bad_size: tensor 'a': has 8 bytes, which are no [3] of F32");
  EXPECT_EQ(
      RefusalOf("bad_hole"),
      "safetensors/bad_hole: tensor 'b': begins at byte 8 of the data, needs 4, where the one "
      "before it ends");
  EXPECT_EQ(RefusalOf("bad_overlap"),
            "safetensors/bad_overlap: tensor 'b': begins at byte 4 of the data, needs 8, where the "
            "one before it ends");
  EXPECT_EQ(RefusalOf("bad_twice"), "safetensors/bad_twice: header: has 'a' twice");
  EXPECT_EQ(RefusalOf("bad_depth"), "safetensors/bad_depth: header: is nested more than 8 deep");
  EXPECT_EQ(RefusalOf("bad_dtype"),
            "safetensors/bad_dtype: tensor 'a': dtype 'Q4_0' is not supported");
  EXPECT_EQ(
      RefusalOf("bad_header_limit"),
      "safetensors/bad_header_limit: has a safetensors header of 100000001 bytes, the limit is "
      "100000000");
  EXPECT_EQ(RefusalOf("bad_header_size"),
            "safetensors/bad_header_size: its safetensors header needs 3 bytes, the file has 2");
  EXPECT_EQ(RefusalOf("bad_shape_hidden_overflow"),
            "safetensors/bad_shape_hidden_overflow: tensor 'a': has 0 bytes, which are no "
            "[0,4611686018427387904,4] of F32");
  EXPECT_EQ(Refusal([] { ReadSafetensors(Corpus("safetensors/ok_types")).At("none"); }),
            "safetensors/ok_types: has no tensor 'none'");
}

class Shards : public testing::Test {
 protected:
  void Write(const std::string& file, const std::string& tensor, float value) {
    CheckpointWriter writer =
        WriteSafetensors(folder_.path() / file, {{tensor, Storage::kF32, {1}}}, {{"from", file}});
    writer.Add(tensor, &value, sizeof value);
    writer.Commit();
  }
  void WriteIndex(const std::string& weight_map) {
    WriteFile(folder_.path() / "model.safetensors.index.json",
              R"({"metadata": {"total_size": 8}, "weight_map": )" + weight_map + "}");
  }
  std::string RefusalOf(const std::string& weight_map) {
    WriteIndex(weight_map);
    const std::string what = Refusal([&] { ReadSafetensors(folder_.path()); });
    return what.substr(what.find_last_of('/') + 1);
  }
  TemporaryFolder folder_;
};

TEST_F(Shards, AFolderIsOneFileOrWhatItsIndexNames) {
  Write("model.safetensors", "whole", 1);
  EXPECT_EQ(*ReadSafetensors(folder_.path()).At("whole").Read().data<float>(), 1);
  Write("1.safetensors", "a", 2);
  Write("2.safetensors", "b", 3);
  WriteIndex(R"({"a": "1.safetensors", "b": "2.safetensors"})");
  const Safetensors both = ReadSafetensors(folder_.path());
  EXPECT_EQ(both.tensors.size(), 2u);
  EXPECT_EQ(*both.At("a").Read().data<float>(), 2);
  EXPECT_EQ(*both.At("b").Read().data<float>(), 3);
  EXPECT_EQ(both.metadata.at("from"), "1.safetensors");
}

TEST_F(Shards, RefusesAnIndexThatDisagreesWithItsFiles) {
  Write("1", "a", 1);
  Write("2", "b", 2);
  EXPECT_EQ(RefusalOf(R"({"a": "1", "c": "2"})"), "2: has no tensor 'c'");
  EXPECT_EQ(RefusalOf(R"({"a": "1", "b": "1"})"), "1: has no tensor 'b'");
  EXPECT_EQ(RefusalOf(R"({"a": "3"})"), "3: cannot be opened: No such file or directory");
  EXPECT_EQ(RefusalOf(R"({"a": 3})"), "model.safetensors.index.json: 'a': got '3', needs a string");
  EXPECT_EQ(RefusalOf(R"([])"), "model.safetensors.index.json: has no weight_map");
  EXPECT_EQ(RefusalOf(R"({"a": ".."})"),
            "model.safetensors.index.json: 'a' lies in '..', needs a file of this folder");
  EXPECT_EQ(RefusalOf(R"({"a": "x\\y"})").find("cannot be opened") == std::string::npos, false);
  Write("1", "more", 1);
  EXPECT_EQ(RefusalOf(R"({"b": "2", "a": "1"})"), "1: has no tensor 'a'");
}

TEST_F(Shards, RefusesTensorsThatTheIndexDoesNotPlace) {
  CheckpointWriter writer = WriteSafetensors(
      folder_.path() / "1", {{"a", Storage::kI8, {0}}, {"extra", Storage::kI8, {0}}});
  writer.Add("a", nullptr, 0);
  writer.Add("extra", nullptr, 0);
  writer.Commit();
  EXPECT_EQ(RefusalOf(R"({"a": "1"})"),
            "1: tensor 'extra': model.safetensors.index.json does not place it here");
}

TEST(CheckpointWriter, TakesTheTensorsItWasToldAndNoOthers) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "x.safetensors";
  const std::vector<TensorSpec> specs{{"a", Storage::kF16, {2}}, {"b", Storage::kI8, {3}}};
  const char data[4] = {};
  {
    CheckpointWriter writer = WriteSafetensors(path, specs);
    EXPECT_THROW(writer.Add("b", data, 3), UsageError);
    EXPECT_THROW(writer.Add("a", data, 3), UsageError);
    writer.Add("a", data, 4);
    EXPECT_THROW(writer.Commit(), UsageError);
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
  EXPECT_THROW(WriteSafetensors(path, {specs[0], specs[0]}), UsageError);
  EXPECT_THROW(WriteSafetensors(path, {{"q", Storage::kQ8_0, {32}}}), UsageError);
  EXPECT_THROW(WriteSafetensors(path, {{"__metadata__", Storage::kI8, {1}}}), UsageError);
  EXPECT_THROW(WriteSafetensors(path, {{"\xff", Storage::kI8, {1}}}), UsageError);
  EXPECT_THROW(WriteSafetensors(path, {{"a", Storage::kI8, {-1}}}), UsageError);
}

TEST(StoredTensor, BytesOfShapes) {
  EXPECT_EQ(StoredBytes(Storage::kF64, {}), 8u);
  EXPECT_EQ(StoredBytes(Storage::kF64, {2, 3}), 48u);
  EXPECT_EQ(StoredBytes(Storage::kQ4K, {3, 512}), 3u * 2 * 144);
  EXPECT_EQ(StoredBytes(Storage::kF32, {0, 7}), 0u);
  EXPECT_FALSE(StoredBytes(Storage::kQ4_0, {32, 16}));
  EXPECT_FALSE(StoredBytes(Storage::kQ4_0, {}));
  EXPECT_FALSE(StoredBytes(Storage::kI8, {-1, -1}));
  EXPECT_FALSE(StoredBytes(Storage::kF32, {int64_t{1} << 61}));
  EXPECT_FALSE(StoredBytes(Storage::kF32, {0, int64_t{1} << 62, 4}));
}

}  // namespace
}  // namespace mezzo
