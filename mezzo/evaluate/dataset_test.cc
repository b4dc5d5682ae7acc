// labels.csv's refusals, one a file, are in tests/corpus/labels and replayed by base/fuzz_test.cc.
#include "mezzo/evaluate/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "mezzo/base/files.h"
#include "mezzo/checkpoint/npz.h"
#include "mezzo/evaluate/labels_csv.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

ValueInfo Input(const std::string& name, const Shape& shape) {
  ValueInfo v;
  v.name = name;
  v.dtype = DType::kFloat32;
  v.shape = shape;
  v.has_shape = true;
  return v;
}

Tensor Count(const Shape& shape) {
  std::vector<float> values(static_cast<size_t>(NumElements(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return Tensor::Of(values, shape);
}

// The message of the error that f must throw.
template <class F>
std::string Refusal(F&& f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

struct Dataset_ : testing::Test {
  void CopyPicture(const std::string& name, const std::string& as) {
    fs::copy_file(fs::path(MEZZO_SOURCE_DIR) / "tests/corpus/image" / name, folder.path() / as);
  }
  std::unique_ptr<Dataset> Open(const std::vector<ValueInfo>& inputs,
                                const std::string& file = "") {
    return OpenDataset(folder.path() / file, inputs, Preprocess{});
  }
  const TemporaryFolder folder;
  const std::vector<ValueInfo> picture{Input("x", {-1, 3, -1, -1})};
};

TEST(Labels, QuotesFollowRfc4180) {
  const LabelFile f =
      ParseLabels("file,text\r\n\"a,b\",\"say \"\"hi\"\"\nthere\",more\r\n\r\nc,d", "l");
  ASSERT_EQ(f.rows.size(), 2u);
  EXPECT_EQ(f.rows[0].file, "a,b");
  EXPECT_EQ(f.rows[0].value, "say \"hi\"\nthere");
  EXPECT_EQ(f.rows[1].file, "c");
  EXPECT_EQ(f.rows[1].line, 5u);
  EXPECT_EQ(Refusal([] { ParseLabels("file,class_index\na,1\nb,x\n", "l"); }),
            "l: line 3: class_index is 'x', must be a whole number from 0");
}

TEST_F(Dataset_, PicturesWithClassesTextsTargetsOrNothing) {
  CopyPicture("ok_rgb.png", "b.png");
  CopyPicture("ok_gray.jpg", "a.jpg");
  auto d = Open(picture);
  ASSERT_EQ(d->size(), 2u);
  EXPECT_FALSE(d->labelled());
  EXPECT_EQ(d->Get(0).name, "a.jpg");
  EXPECT_EQ(d->Get(1).inputs.at("x").shape(), (Shape{1, 3, 13, 17}));

  const fs::path labels = folder.path() / "labels.csv";
  WriteFile(labels, "file,class_index\nb.png,7\n");
  d = Open(picture);
  ASSERT_EQ(d->size(), 1u);
  EXPECT_EQ(std::get<int64_t>(d->Get(0).label), 7);
  WriteFile(labels, "file,text\nb.png,hello\n");
  EXPECT_EQ(std::get<std::string>(Open(picture)->Get(0).label), "hello");
  WriteFile(labels, "file,target\nb.png,a.jpg\n");
  EXPECT_EQ(std::get<Tensor>(Open(picture)->Get(0).label).shape(), (Shape{1, 3, 13, 17}));
  WriteFile(labels, "file,text\nnone.png,hello\n");
  EXPECT_EQ(Refusal([&] { Open(picture); }),
            labels.string() + ": line 2: there is no file 'none.png'");
  WriteFile(labels, "file,target\nb.png,none.png\n");
  EXPECT_EQ(Refusal([&] { Open(picture); }),
            labels.string() + ": line 2: there is no target 'none.png'");
}

TEST_F(Dataset_, NamesFilesThatLabelsLeaveOut) {
  for (const char* name : {"a.png", "b.png", "c.png", "d.png"}) CopyPicture("ok_rgb.png", name);
  EXPECT_TRUE(UnlistedFiles(folder.path()).empty());
  const fs::path labels = folder.path() / "labels.csv";
  WriteFile(labels, "file,class_index\nb.png,7\n./c.png,1\n");
  EXPECT_EQ(UnlistedFiles(folder.path()), (std::vector<std::string>{"a.png", "d.png"}));
  WriteFile(labels, "file,target\nb.png,d.png\n");
  EXPECT_EQ(UnlistedFiles(folder.path()), (std::vector<std::string>{"a.png", "c.png"}));
}

TEST_F(Dataset_, RefusesWhatIsNoData) {
  EXPECT_NE(Refusal([&] { Open(picture); }).find("holds no pictures"), std::string::npos);
  EXPECT_NE(Refusal([&] { Open(picture, "none"); }).find("there is no such file"),
            std::string::npos);
  CopyPicture("ok_rgb.png", "b.png");
  EXPECT_NE(Refusal([&] { OpenDataset(folder.path(), picture, {}); }).find("--preprocess imagenet"),
            std::string::npos);
  EXPECT_NE(Refusal([&] {
              Open({picture[0], picture[0]});
            }).find("networks with one input"),
            std::string::npos);
  WriteNpz(folder.path() / "a.npz", {{"x", Count({1})}});
  EXPECT_NE(Refusal([&] { Open(picture); }).find("holds both arrays"), std::string::npos);
  EXPECT_NE(Refusal([&] { Open(picture, "b.png"); }).find("is no data"), std::string::npos);
  CopyPicture("bad_truncated.jpg", "a.jpg");
  fs::remove(folder.path() / "a.npz");
  const auto d = Open(picture);
  EXPECT_NE(Refusal([&] { d->Get(0); }).find("a.jpg: cannot be decoded"), std::string::npos);
}

TEST_F(Dataset_, NpzRowsAreSamples) {
  const std::vector<ValueInfo> inputs{Input("x", {-1, 3}), Input("state", {2, -1}),
                                      Input("rate", {})};
  WriteNpz(folder.path() / "d.npz", {{"x", Count({4, 3})},
                                     {"state", Count({4, 2, 5})},
                                     {"rate", Tensor::Scalar(16.0f)},
                                     {"labels", Tensor::Vector<int32_t>({3, 2, 1, 0})}});
  const auto d = Open(inputs, "d.npz");
  ASSERT_EQ(d->size(), 4u);
  const Sample s = d->Get(2);
  EXPECT_EQ(s.name, "d.npz[2]");
  EXPECT_EQ(s.inputs.at("x").shape(), (Shape{1, 3}));
  EXPECT_EQ(s.inputs.at("x").data<float>()[0], 6);
  EXPECT_EQ(s.inputs.at("state").shape(), (Shape{2, 5}));
  EXPECT_EQ(s.inputs.at("state").data<float>()[0], 20);
  EXPECT_EQ(*s.inputs.at("rate").data<float>(), 16);
  EXPECT_EQ(std::get<int64_t>(s.label), 1);
}

TEST_F(Dataset_, NpzLabelsByKind) {
  const std::vector<ValueInfo> inputs{Input("x", {-1, 3})};
  const auto label = [&](const Tensor& labels, size_t i) {
    WriteNpz(folder.path() / "d.npz", {{"x", Count({4, 3})}, {"labels", labels}});
    return Open(inputs, "d.npz")->Get(i).label;
  };
  EXPECT_EQ(std::get<double>(label(Count({4}), 3)), 3);
  EXPECT_EQ(std::get<Tensor>(label(Count({4, 2, 2}), 3)).shape(), (Shape{1, 2, 2}));
  EXPECT_EQ(std::get<double>(label(Count({2}), 3)), 1);  // pairs
  EXPECT_EQ(Open(inputs, "d.npz")->group(), 2u);
  EXPECT_NE(Refusal([&] { label(Count({3}), 0); }).find("has shape [3], but there are 4 samples"),
            std::string::npos);
}

TEST_F(Dataset_, NpzThatDoesNotFitTheNetwork) {
  const auto refusal = [&](const std::map<std::string, Tensor>& arrays) {
    WriteNpz(folder.path() / "d.npz", arrays);
    return Refusal([&] { Open({Input("a", {-1, 3}), Input("b", {-1, 2})}, "d.npz"); });
  };
  const std::string path = (folder.path() / "d.npz").string();
  EXPECT_EQ(refusal({{"b", Count({1, 2})}, {"c", Count({1})}}),
            path + ": its arrays do not fit the network's inputs (a, b): missing a; unexpected c");
  EXPECT_NE(refusal({{"a", Count({2, 4})}, {"b", Count({2, 2})}})
                .find("'a': has shape [2,4], the network's input needs [-1,3]"),
            std::string::npos);
  EXPECT_NE(refusal({{"a", Count({2, 3})}, {"b", Count({3, 2})}})
                .find("differ in their number of samples: a [2,3], b [3,2]"),
            std::string::npos);
  EXPECT_NE(refusal({{"a", Count({0, 3})}, {"b", Count({0, 2})}}).find("holds no samples"),
            std::string::npos);
  EXPECT_NE(refusal({{"a", Cast(Count({2, 3}), DType::kFloat64)}, {"b", Count({2, 2})}})
                .find("holds float64"),
            std::string::npos);
}

TEST_F(Dataset_, FolderOfNpzHoldsBatchesAndWholeSamples) {
  const std::vector<ValueInfo> inputs{Input("x", {-1, 3}), Input("state", {2, -1, 5})};
  WriteNpz(folder.path() / "b.npz",
           {{"x", Count({1, 3})}, {"state", Count({2, 1, 5})}});  // as the network takes it
  WriteNpz(folder.path() / "a.npz", {{"x", Count({3, 3})}, {"state", Count({3, 2, 1, 5})}});
  const auto d = Open(inputs);
  ASSERT_EQ(d->size(), 4u);
  EXPECT_EQ(d->Get(1).name, "a.npz[1]");
  EXPECT_EQ(d->Get(1).inputs.at("state").shape(), (Shape{2, 1, 5}));
  EXPECT_EQ(d->Get(3).name, "b.npz");
  EXPECT_EQ(d->Get(3).inputs.at("state").shape(), (Shape{2, 1, 5}));
  WriteFile(folder.path() / "labels.csv", "file,text\nb.npz,hi\n");
  EXPECT_EQ(std::get<std::string>(Open(inputs)->Get(0).label), "hi");
  WriteFile(folder.path() / "labels.csv", "file,text\na.npz,hi\n");
  EXPECT_NE(Refusal([&] { Open(inputs); }).find("holds 3 samples, but labels.csv has one row"),
            std::string::npos);
}

struct Fake : Dataset {
  size_t n, g;
  Fake(size_t n, size_t g) : n(n), g(g) {}
  size_t size() const override { return n; }
  size_t group() const override { return g; }
  bool labelled() const override { return false; }
  Sample Get(size_t) const override { return {}; }
};

TEST(Split, IsDisjointSortedAndRepeatable) {
  const Fake data(100, 1);
  const DataSplit a = Split(data, 30, 50, 7), b = Split(data, 30, 50, 7),
                  c = Split(data, 30, 50, 8);
  EXPECT_EQ(a.calibration, b.calibration);
  EXPECT_EQ(a.evaluation, b.evaluation);
  EXPECT_NE(a.calibration, c.calibration);
  std::set<size_t> all(a.calibration.begin(), a.calibration.end());
  all.insert(a.evaluation.begin(), a.evaluation.end());
  EXPECT_EQ(all.size(), 80u);
  EXPECT_TRUE(std::ranges::is_sorted(a.calibration) && std::ranges::is_sorted(a.evaluation));
  EXPECT_EQ(Split(data, 30, 0, 7).evaluation.size(), 70u);
  EXPECT_THROW(Split(data, 60, 50, 7), UsageError);
  EXPECT_THROW(Split(data, 100, 0, 7), UsageError);
}

TEST(Split, KeepsPairsTogether) {
  const DataSplit s = Split(Fake(100, 2), 31, 0, 1);
  EXPECT_EQ(s.calibration.size(), 32u);
  for (size_t i = 0; i < s.evaluation.size(); i += 2) {
    EXPECT_EQ(s.evaluation[i] % 2, 0u);
    EXPECT_EQ(s.evaluation[i + 1], s.evaluation[i] + 1);
  }
}

}  // namespace
}  // namespace mezzo
