// .npy and .npz: what NumPy wrote (tests/corpus) reads as NumPy reads it; what is written reads
// back. The malformed files, one a refusal, are in the corpus and replayed by fuzz_test.cc.
#include "mezzo/checkpoint/npz.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

namespace mezzo {
namespace {

namespace fs = std::filesystem;

fs::path Corpus(const std::string& name) {
  return fs::path(MEZZO_SOURCE_DIR) / "tests" / "corpus" / name;
}

template <class T>
std::vector<T> Values(const Tensor& t) {
  return {t.span<T>().begin(), t.span<T>().end()};
}

template <class F>
std::string Refusal(F&& f) {
  try {
    f();
  } catch (const FileError& e) {
    return e.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

TEST(Npy, ReadsWhatNumPyWrote) {
  const Tensor plain = ReadNpy(Corpus("npy/ok_f4"));
  EXPECT_EQ(plain.shape(), (Shape{2, 3}));
  EXPECT_EQ(Values<float>(plain), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  // Big-endian, Fortran order.
  EXPECT_EQ(Values<int16_t>(ReadNpy(Corpus("npy/ok_fortran"))),
            (std::vector<int16_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(Values<double>(ReadNpy(Corpus("npy/ok_v2"))), (std::vector<double>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(Values<bool>(ReadNpy(Corpus("npy/ok_v3"))), (std::vector<bool>{0, 0, 0, 1, 1, 1}));
  const Tensor scalar = ReadNpy(Corpus("npy/ok_scalar"));
  EXPECT_EQ(scalar.rank(), 0u);
  EXPECT_EQ(*Cast(scalar, DType::kFloat32).data<float>(), 2);
  EXPECT_EQ(ReadNpy(Corpus("npy/ok_empty_axis")).shape(), (Shape{0, 3}));
}

// A file in Fortran order, made by hand from row-major values 0, 1, 2...
NpyArray Fortran(const Shape& shape) {
  std::string text = NpyHeader(DType::kInt32, shape);
  text.replace(text.find("False"), 5, "True ");
  std::vector<uint8_t> bytes(text.begin(), text.end());
  const int64_t n = NumElements(shape);
  Shape index(shape.size(), 0);
  for (int64_t i = 0; i < n; ++i) {
    int64_t value = 0;
    for (size_t a = 0; a < shape.size(); ++a) value = value * shape[a] + index[a];
    for (int b = 0; b < 4; ++b) bytes.push_back(static_cast<uint8_t>(value >> 8 * b));
    for (size_t a = 0; a < shape.size() && ++index[a] == shape[a]; ++a) index[a] = 0;
  }
  return NpyArray(ByteSource(std::move(bytes), "fortran"));
}

TEST(Npy, FortranRowsAreRows) {
  const NpyArray array = Fortran({5, 3, 2, 4});
  std::vector<int32_t> want(120);
  std::iota(want.begin(), want.end(), 0);
  EXPECT_EQ(Values<int32_t>(array.Read()), want);
  EXPECT_EQ(Values<int32_t>(array.Rows(2, 4)),
            (std::vector<int32_t>{want.begin() + 48, want.begin() + 96}));
  EXPECT_THROW(array.Rows(2, 6), UsageError);
}

TEST(Npy, RefusalsNameFileAndContent) {
  const auto refusal = [](const std::string& name) {
    return Refusal([&] { ReadNpy(Corpus("npy/" + name)); });
  };
  const std::string root = Corpus("npy/").string();
  EXPECT_EQ(
      refusal("bad_string"),
      root +
          "bad_string: holds elements of type '<U2', needs bool, integers or float16 to float64");
  EXPECT_EQ(refusal("bad_truncated"),
            root + "bad_truncated: has 21 bytes of data, but [2,3] of float32 takes 24");
  EXPECT_NE(refusal("bad_record").find("holds records"), std::string::npos);
  EXPECT_NE(refusal("bad_overflow").find("impossible shape [4294967296,4294967296,2]"),
            std::string::npos);
  EXPECT_NE(refusal("bad_dimension").find("dimension over 2^63"), std::string::npos);
}

TEST(Npy, WritesEveryType) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "a.npy";
  for (const DType type : {DType::kBool, DType::kInt8, DType::kUInt8, DType::kInt16, DType::kUInt16,
                           DType::kInt32, DType::kUInt32, DType::kInt64, DType::kUInt64,
                           DType::kFloat16, DType::kFloat32, DType::kFloat64})
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{0, 2}}) {
      const Tensor t = Cast(Tensor::Of(std::vector<float>(NumElements(shape), 1), shape), type);
      WriteNpy(path, t);
      const Tensor back = ReadNpy(path);
      EXPECT_EQ(back.dtype(), type);
      EXPECT_EQ(back.shape(), shape);
      EXPECT_EQ(std::memcmp(back.raw(), t.raw(), t.bytes()), 0);
    }
  EXPECT_THROW(WriteNpy(path, Tensor::Zeros(DType::kBFloat16, {1})), UsageError);
}

TEST(Npz, ReadsStoredDeflatedAndZip64) {
  const NpzFile stored(Corpus("npz/ok_stored"));
  EXPECT_EQ(stored.names(), (std::vector<std::string>{"labels", "x"}));
  EXPECT_EQ(Values<int64_t>(stored.Read("labels")), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(Values<float>(stored.Open("x").Rows(1, 2)), (std::vector<float>{3, 4, 5}));
  const NpzFile deflated(Corpus("npz/ok_deflated"));
  EXPECT_EQ(Values<float>(deflated.Read("y")), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(Values<float>(deflated.Read("x")), std::vector<float>(64));
  EXPECT_EQ(Values<float>(NpzFile(Corpus("npz/ok_zip64")).Read("x")),
            (std::vector<float>{0, 1, 2, 3, 4, 5}));
}

TEST(Npz, RefusalsNameTheMember) {
  const auto refusal = [](const std::string& name) {
    return Refusal([&] {
      const NpzFile file(Corpus("npz/" + name));
      for (const std::string& member : file.names()) file.Read(member);
    });
  };
  const std::string root = Corpus("npz/").string();
  EXPECT_EQ(refusal("bad_crc"), root + "bad_crc: member 'x': is damaged (its checksum is wrong)");
  EXPECT_NE(refusal("bad_bomb").find("member 'x.npy': claims 2147483647 bytes out of"),
            std::string::npos);
  EXPECT_NE(refusal("bad_truncated").find("is no .npz archive"), std::string::npos);
  EXPECT_NE(refusal("bad_member").find("member 'readme.txt': is no .npy array"), std::string::npos);
  EXPECT_NE(refusal("bad_inflated_longer").find("unpacks to more than the 20 bytes it claims"),
            std::string::npos);
  EXPECT_NE(refusal("bad_overlap").find("overlaps its neighbour"), std::string::npos);
  EXPECT_NE(refusal("bad_npy").find("member 'x': is no .npy array"), std::string::npos);
  EXPECT_NE(Refusal([&] { NpzFile(Corpus("npz/ok_stored")).Open("y"); }).find("has no array 'y'"),
            std::string::npos);
}

TEST(Npz, WhatIsWrittenReadsBackAndIsTheSameBytes) {
  const TemporaryFolder folder;
  const fs::path a = folder.path() / "a.npz", b = folder.path() / "b.npz";
  const std::map<std::string, Tensor> arrays{{"x", Tensor::Vector<float>({1, 2})},
                                             {"empty", Tensor::Zeros(DType::kInt8, {0})},
                                             {"scalar", Tensor::Scalar<int64_t>(7)}};
  WriteNpz(a, arrays);
  WriteNpz(b, arrays);
  EXPECT_EQ(ReadFile(a), ReadFile(b));
  const NpzFile file(a);
  EXPECT_EQ(file.names(), (std::vector<std::string>{"empty", "scalar", "x"}));
  EXPECT_EQ(Values<float>(file.Read("x")), (std::vector<float>{1, 2}));
  EXPECT_EQ(Values<int64_t>(file.Read("scalar")), std::vector<int64_t>{7});
  EXPECT_EQ(file.Read("empty").numel(), 0);
}

TEST(Npz, ManyMembersNeedTheZip64Record) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "many.npz";
  NpzWriter writer(path, false);
  for (int i = 0; i < 70000; ++i) writer.Add(std::to_string(i), Tensor::Scalar<int32_t>(i));
  writer.Commit();
  const NpzFile file(path);
  EXPECT_EQ(file.names().size(), 70000u);
  EXPECT_EQ(Values<int32_t>(file.Read("69999")), std::vector<int32_t>{69999});
}

}  // namespace
}  // namespace mezzo
