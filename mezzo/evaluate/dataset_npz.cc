// One .npz, or a folder of them, as a dataset.
#include <algorithm>
#include <deque>
#include <mutex>

#include "mezzo/checkpoint/npz.h"
#include "mezzo/evaluate/dataset_sources.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

// How an array's leading axis becomes a sample.
enum class Axis : uint8_t {
  kKeep,    // a row with a leading axis of 1
  kDrop,    // a row without it: the network's own axes are all there
  kShared,  // no axis: the same for every sample
};

struct Input {
  std::string name;
  NpyArray array;
  Axis axis;
};

// The samples of one file.
class NpzSamples {
 public:
  // `whole_allowed`: arrays that share no leading axis are one sample.
  NpzSamples(const fs::path& path, const std::vector<ValueInfo>& inputs, bool whole_allowed)
      : name_(path.string()) {
    const NpzFile file(path);
    const bool has_labels =
        file.Has("labels") &&
        std::ranges::none_of(inputs, [](const ValueInfo& v) { return v.name == "labels"; });
    std::vector<std::string> names = file.names();
    if (has_labels) std::erase(names, "labels");
    CheckInputNames(name_, names, inputs);
    for (const ValueInfo& v : inputs) AddInput(file.Open(v.name), v);
    CountRows(whole_allowed);
    for (const ValueInfo& v : inputs) CheckShape(v);
    if (has_labels) SetLabels(file.Open("labels"));
  }

  size_t size() const { return size_; }
  size_t group() const { return group_; }
  bool labelled() const { return labels_.has_value(); }

  // Fills inputs and label.
  void Get(size_t i, Sample& sample) const {
    const auto row = static_cast<int64_t>(i);
    for (const Input& in : inputs_) {
      if (whole_ || in.axis == Axis::kShared) {
        sample.inputs[in.name] = in.array.Read();
        continue;
      }
      Tensor t = in.array.Rows(row, row + 1);
      if (in.axis == Axis::kDrop) t = t.Reshape(Shape(t.shape().begin() + 1, t.shape().end()));
      sample.inputs[in.name] = std::move(t);
    }
    if (labels_) sample.label = LabelOf(row);
  }

 private:
  void AddInput(NpyArray array, const ValueInfo& v) {
    Require(v.dtype == DType::kNone || array.dtype() == v.dtype, array.name(), ": holds ",
            Name(array.dtype()), ", the network's input needs ", Name(v.dtype));
    const size_t rank = array.shape().size();
    Axis axis = rank == 0 ? Axis::kShared : Axis::kKeep;
    if (v.has_shape && rank != 0) {
      Require(rank == v.shape.size() || rank == v.shape.size() + 1, array.name(), ": has shape ",
              ToString(array.shape()), ", the network's input needs ", ToString(v.shape),
              " (-1: any) a sample");
      if (rank != v.shape.size()) axis = Axis::kDrop;
    }
    inputs_.push_back({v.name, std::move(array), axis});
  }

  void CountRows(bool whole_allowed) {
    std::vector<int64_t> counts;
    std::string list;
    bool all_kept = true;
    for (const Input& in : inputs_) {
      if (in.axis == Axis::kShared) continue;
      counts.push_back(in.array.shape()[0]);
      list += Cat(list.empty() ? "" : ", ", in.name, " ", ToString(in.array.shape()));
      all_kept = all_kept && in.axis == Axis::kKeep;
    }
    const bool same = std::ranges::all_of(counts, [&](int64_t n) { return n == counts[0]; });
    whole_ = counts.empty() || (!same && whole_allowed && all_kept);
    Require(same || whole_, name_, ": its arrays differ in their number of samples: ", list);
    size_ = whole_ ? 1 : static_cast<size_t>(counts[0]);
    Require(size_ > 0, name_, ": holds no samples");
  }

  // The axes after the first, where the network fixes them.
  void CheckShape(const ValueInfo& v) const {
    if (!v.has_shape) return;
    const auto it = std::ranges::find(inputs_, v.name, &Input::name);
    const Shape& have = it->array.shape();
    if (it->axis == Axis::kShared) return;
    const size_t skip = it->axis == Axis::kDrop ? 1 : 0;
    for (size_t a = skip ? 0 : 1; a < v.shape.size(); ++a)
      Require(v.shape[a] < 0 || v.shape[a] == have[a + skip], it->array.name(), ": has shape ",
              ToString(have), ", the network's input needs ", ToString(v.shape),
              " (-1: any) a sample");
  }

  void SetLabels(NpyArray labels) {
    const Shape& shape = labels.shape();
    const auto n = static_cast<int64_t>(size_);
    const bool pairs = shape.size() == 1 && n % 2 == 0 && shape[0] == n / 2;
    Require(!shape.empty() && (shape[0] == n || pairs), labels.name(), ": has shape ",
            ToString(shape), ", but there are ", n, " samples");
    if (pairs) group_ = 2;
    labels_ = std::move(labels);
  }

  Label LabelOf(int64_t row) const {
    const int64_t at = row / static_cast<int64_t>(group_);
    const Tensor t = labels_->Rows(at, at + 1);
    if (t.rank() > 1)
      return t.dtype() == DType::kFloat64 || t.dtype() == DType::kFloat16 ? Cast(t, DType::kFloat32)
                                                                          : t;
    const bool real = t.dtype() == DType::kFloat32 || t.dtype() == DType::kFloat64 ||
                      t.dtype() == DType::kFloat16;
    if (real || group_ == 2) return Cast(t, DType::kFloat64).data<double>()[0];
    return Cast(t, DType::kInt64).data<int64_t>()[0];
  }

  std::string name_;
  std::vector<Input> inputs_;
  std::optional<NpyArray> labels_;
  size_t size_ = 0, group_ = 1;
  bool whole_ = false;
};

class NpzDataset : public Dataset {
 public:
  NpzDataset(const fs::path& path, const std::vector<ValueInfo>& inputs)
      : name_(path.filename().string()), samples_(path, inputs, false) {}
  size_t size() const override { return samples_.size(); }
  size_t group() const override { return samples_.group(); }
  bool labelled() const override { return samples_.labelled(); }
  Sample Get(size_t i) const override {
    Require(i < size(), name_, ": there is no sample ", i, " of ", size());
    Sample sample{i, Cat(name_, "[", i, "]"), {}, {}};
    samples_.Get(i, sample);
    return sample;
  }

 private:
  std::string name_;
  NpzSamples samples_;
};

class NpzFolder : public Dataset {
 public:
  NpzFolder(const fs::path& folder, const std::vector<ValueInfo>& inputs)
      : folder_(folder), inputs_(inputs) {
    std::vector<std::string> names;
    if (auto labels = ReadLabels(folder)) {
      rows_ = std::move(labels->rows);
      kind_ = labels->kind;
      RequireFile(kind_ != LabelKind::kTarget, (folder / "labels.csv").string(),
                  ": targets of .npz samples belong into them, as `labels`");
      for (const LabelRow& row : rows_) names.push_back(row.file);
    } else {
      names = ListFiles(folder, {".npz"});
    }
    for (const std::string& name : names) {
      const NpzSamples samples(folder / name, inputs, true);
      Require(rows_.empty() || samples.size() == 1, (folder / name).string(), ": holds ",
              samples.size(), " samples, but labels.csv has one row for it");
      if (files_.empty())
        labelled_ = samples.labelled() || !rows_.empty(), group_ = samples.group();
      Require(rows_.empty() ? samples.labelled() == labelled_ : true, folder.string(), ": ",
              files_.empty() ? name : files_[0].name, " and ", name,
              ": one has labels, the other none");
      Require(samples.group() == group_, (folder / name).string(),
              ": its labels are not of the kind of ", files_.empty() ? name : files_[0].name);
      files_.push_back({name, size_});
      size_ += samples.size();
    }
  }

  size_t size() const override { return size_; }
  size_t group() const override { return group_; }
  bool labelled() const override { return labelled_; }

  Sample Get(size_t i) const override {
    Require(i < size_, folder_.string(), ": there is no sample ", i, " of ", size_);
    const auto it = std::ranges::upper_bound(files_, i, {}, &File::begin) - 1;
    const auto file = static_cast<size_t>(it - files_.begin());
    const std::shared_ptr<const NpzSamples> samples = Open(file);
    Sample sample{
        i, samples->size() == 1 ? it->name : Cat(it->name, "[", i - it->begin, "]"), {}, {}};
    samples->Get(i - it->begin, sample);
    if (!rows_.empty() && kind_ == LabelKind::kText) sample.label = rows_[file].value;
    if (!rows_.empty() && kind_ == LabelKind::kClassIndex)
      sample.label = int64_t{std::stol(rows_[file].value)};
    return sample;
  }

 private:
  struct File {
    std::string name;
    size_t begin;  // index of its first sample
  };
  // Opening checks and perhaps unpacks the file, so the last few stay open.
  std::shared_ptr<const NpzSamples> Open(size_t file) const {
    {
      std::lock_guard lock(mutex_);
      for (const auto& [index, samples] : open_)
        if (index == file) return samples;
    }
    auto samples = std::make_shared<const NpzSamples>(folder_ / files_[file].name, inputs_, true);
    std::lock_guard lock(mutex_);
    open_.emplace_front(file, samples);
    if (open_.size() > 4) open_.pop_back();
    return samples;
  }

  fs::path folder_;
  std::vector<ValueInfo> inputs_;
  std::vector<LabelRow> rows_;
  LabelKind kind_ = LabelKind::kClassIndex;
  std::vector<File> files_;
  size_t size_ = 0, group_ = 1;
  bool labelled_ = false;
  mutable std::mutex mutex_;
  mutable std::deque<std::pair<size_t, std::shared_ptr<const NpzSamples>>> open_;
};

}  // namespace

std::unique_ptr<Dataset> OpenNpz(const fs::path& path, const std::vector<ValueInfo>& inputs) {
  return std::make_unique<NpzDataset>(path, inputs);
}

std::unique_ptr<Dataset> OpenNpzFolder(const fs::path& folder,
                                       const std::vector<ValueInfo>& inputs) {
  return std::make_unique<NpzFolder>(folder, inputs);
}

}  // namespace mezzo
