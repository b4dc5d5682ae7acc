// Where samples come from. A dataset knows its samples and reads each when it is asked for, so its
// memory does not grow with their number.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "mezzo/evaluate/preprocess.h"
#include "mezzo/graph/graph.h"
#include "mezzo/runtime/session.h"

namespace mezzo {

// Nothing, a class index, a text, a score, or the output that is wanted (with a leading axis of 1).
using Label = std::variant<std::monostate, int64_t, std::string, double, Tensor>;

struct Sample {
  size_t index = 0;  // in the dataset
  std::string name;  // "cat/001.jpg", "data.npz[12]"
  TensorMap inputs;  // by input name, with a leading batch axis of 1
  Label label;
};

class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual size_t size() const = 0;  // never 0
  // Safe to call from several threads. Throws FileError if the sample's file cannot be read.
  virtual Sample Get(size_t i) const = 0;
  // How many samples in a row belong together: 2 for pairs, which share one label; else 1. Divides
  // size().
  virtual size_t group() const { return 1; }
  virtual bool labelled() const = 0;
};

// Opens, by what is there:
// - a folder of pictures (jpg, jpeg, png), named by its labels.csv or, without labels, all below it
// in order
//   of their names. The network must have one input; needs `preprocess`. A target picture goes
//   through the same preprocessing but resize and crop.
// - an .npz: an array an input, each with a leading sample axis (an array with one axis more than
// the input
//   has loses it in the sample; one without axes belongs to every sample), and `labels` if known:
//   whole numbers (n) are classes, reals (n) scores, arrays (n, ...) targets; n/2 numbers are the
//   scores of the pairs of rows 2i and 2i+1.
// - a folder of .npz, in order of their names, each such a file or one sample as the network takes
// it; labels
//   in them or, with a sample a file, in labels.csv.
// Throws UsageError or FileError naming the culprit: nothing there, empty data, arrays that do not
// fit the network's inputs in name, type or shape, files in labels.csv that do not exist.
std::unique_ptr<Dataset> OpenDataset(const std::filesystem::path& path,
                                     const std::vector<ValueInfo>& inputs,
                                     const std::optional<Preprocess>& preprocess);

// The pictures and .npz under a folder that its labels.csv does not name, which are no samples;
// sorted. None without labels.csv. Throws FileError if it cannot be read.
std::vector<std::string> UnlistedFiles(const std::filesystem::path& folder);

// Throws UsageError with the missing and the unexpected names if `have` are not just the inputs'
// names.
void CheckInputNames(const std::string& where, const std::vector<std::string>& have,
                     const std::vector<ValueInfo>& inputs);

// Indexes of samples, ascending; the two parts share none.
struct DataSplit {
  std::vector<size_t> calibration, evaluation;
};

// Draws whole groups without replacement, the same ones for the same seed on every machine. A count
// that is no multiple of the group is rounded up; an evaluation count of 0 takes all that is left.
// Throws UsageError if the samples do not suffice.
DataSplit Split(const Dataset& dataset, size_t calibration_count, size_t evaluation_count,
                uint64_t seed);

}  // namespace mezzo
