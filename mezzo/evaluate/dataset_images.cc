// A folder of pictures as a dataset.
#include "mezzo/evaluate/dataset_sources.h"

namespace mezzo {
namespace {

class ImageFolder : public Dataset {
 public:
  ImageFolder(const std::filesystem::path& folder, const ValueInfo& input,
              const Preprocess& preprocess)
      : folder_(folder), input_(input), preprocess_(preprocess), target_(preprocess) {
    target_.resize = {};
    target_.crop_height = target_.crop_width = target_.fixed_width = 0;
    if (auto labels = ReadLabels(folder)) {
      labels_ = *std::move(labels);
      labelled_ = true;
    } else {
      for (const std::string& file : ListFiles(folder, {".jpg", ".jpeg", ".png"}))
        labels_.rows.push_back({file, "", 0});
    }
  }

  size_t size() const override { return labels_.rows.size(); }
  bool labelled() const override { return labelled_; }

  Sample Get(size_t i) const override {
    Require(i < size(), folder_.string(), ": there is no sample ", i, " of ", size());
    const LabelRow& row = labels_.rows[i];
    Sample sample{i, row.file, {}, {}};
    const Tensor x = Read(row.file, preprocess_);
    sample.inputs[input_.name] =
        input_.dtype == DType::kNone || input_.dtype == x.dtype() ? x : Cast(x, input_.dtype);
    if (labelled_) sample.label = LabelOf(row);
    return sample;
  }

 private:
  Tensor Read(const std::string& file, const Preprocess& how) const {
    const std::filesystem::path path = folder_ / file;
    try {
      return how.Apply(ReadImage(path));
    } catch (const UsageError& e) {
      throw FileError(Cat(path.string(), ": ", e.what()));
    }
  }
  Label LabelOf(const LabelRow& row) const {
    switch (labels_.kind) {
      case LabelKind::kClassIndex:
        return int64_t{std::stol(row.value)};
      case LabelKind::kText:
        return row.value;
      case LabelKind::kTarget:
        return Read(row.value, target_);
    }
    return {};
  }

  std::filesystem::path folder_;
  ValueInfo input_;
  Preprocess preprocess_, target_;
  LabelFile labels_;
  bool labelled_ = false;
};

}  // namespace

std::unique_ptr<Dataset> OpenImageFolder(const std::filesystem::path& folder,
                                         const ValueInfo& input, const Preprocess& preprocess) {
  return std::make_unique<ImageFolder>(folder, input, preprocess);
}

}  // namespace mezzo
