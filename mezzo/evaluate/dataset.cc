#include "mezzo/evaluate/dataset.h"

#include <algorithm>
#include <cctype>
#include <random>
#include <set>

#include "mezzo/base/files.h"
#include "mezzo/evaluate/dataset_sources.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

std::string LowerExtension(const fs::path& path) {
  std::string s = path.extension().string();
  for (char& c : s) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return s;
}

std::string List(const std::vector<std::string>& names) {
  std::string s;
  for (const std::string& name : names) s += (s.empty() ? "" : ", ") + name;
  return s.empty() ? "none" : s;
}

std::string ListInputs(const std::vector<ValueInfo>& inputs) {
  std::vector<std::string> names;
  for (const ValueInfo& v : inputs) names.push_back(v.name);
  return List(names);
}

// A number in [0, n) from the generator, each equally often; std::uniform_int_distribution differs
// between standard libraries.
uint64_t Below(std::mt19937_64& rng, uint64_t n) {
  const uint64_t limit = UINT64_MAX - UINT64_MAX % n;
  uint64_t v = rng();
  while (v >= limit) v = rng();
  return v % n;
}

}  // namespace

std::vector<std::string> ListFiles(const fs::path& folder,
                                   const std::vector<std::string>& extensions) {
  std::vector<std::string> files;
  std::error_code error;
  fs::recursive_directory_iterator it(folder, error), end;
  for (; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    if (path.filename().string().starts_with('.')) continue;  // what file managers leave behind
    if (std::ranges::find(extensions, LowerExtension(path)) == extensions.end()) continue;
    std::error_code ignored;
    if (it->is_regular_file(ignored)) files.push_back(path.lexically_relative(folder).string());
  }
  RequireFile(!error, folder.string(), ": cannot be listed: ", error.message());
  std::ranges::sort(files);
  return files;
}

std::optional<LabelFile> ReadLabels(const fs::path& folder) {
  const fs::path path = folder / "labels.csv";
  if (!fs::exists(path)) return std::nullopt;
  LabelFile labels = ParseLabels(ReadFile(path), path.string());
  for (const LabelRow& row : labels.rows) {
    RequireFile(fs::exists(folder / row.file), path.string(), ": line ", row.line,
                ": there is no file '", row.file, "'");
    RequireFile(labels.kind != LabelKind::kTarget || fs::exists(folder / row.value), path.string(),
                ": line ", row.line, ": there is no target '", row.value, "'");
  }
  return labels;
}

std::vector<std::string> UnlistedFiles(const fs::path& folder) {
  const auto labels = ReadLabels(folder);
  if (!labels) return {};
  std::set<fs::path> listed;
  for (const LabelRow& row : labels->rows) {
    listed.insert(fs::path(row.file).lexically_normal());
    if (labels->kind == LabelKind::kTarget) listed.insert(fs::path(row.value).lexically_normal());
  }
  std::vector<std::string> files = ListFiles(folder, {".jpg", ".jpeg", ".png", ".npz"});
  std::erase_if(files, [&](const std::string& file) { return listed.contains(file); });
  return files;
}

std::unique_ptr<Dataset> OpenDataset(const fs::path& path, const std::vector<ValueInfo>& inputs,
                                     const std::optional<Preprocess>& preprocess) {
  RequireFile(fs::exists(path), path.string(), ": there is no such file or folder");
  if (!fs::is_directory(path)) {
    RequireFile(LowerExtension(path) == ".npz", path.string(),
                ": is no data; give a folder of pictures, an .npz or a folder of .npz");
    return OpenNpz(path, inputs);
  }
  const std::vector<std::string> arrays = ListFiles(path, {".npz"});
  const std::vector<std::string> pictures = ListFiles(path, {".jpg", ".jpeg", ".png"});
  RequireFile(!arrays.empty() || !pictures.empty(), path.string(),
              ": holds no pictures (jpg, png) and no .npz");
  RequireFile(arrays.empty() || pictures.empty(), path.string(), ": holds both arrays (",
              arrays.empty() ? "" : arrays[0], ") and pictures (",
              pictures.empty() ? "" : pictures[0], "); one kind at a time");
  if (!arrays.empty()) return OpenNpzFolder(path, inputs);
  Require(preprocess.has_value(), path.string(),
          ": pictures need to be told how the network takes them: --preprocess ",
          List(PreprocessPresets()), " or FILE.json");
  Require(inputs.size() == 1, path.string(),
          ": pictures are for networks with one input, this one has ", inputs.size(), " (",
          ListInputs(inputs), "); use .npz");
  return OpenImageFolder(path, inputs[0], *preprocess);
}

void CheckInputNames(const std::string& where, const std::vector<std::string>& have,
                     const std::vector<ValueInfo>& inputs) {
  std::vector<std::string> missing, extra = have;
  for (const ValueInfo& v : inputs)
    if (std::erase(extra, v.name) == 0) missing.push_back(v.name);
  Require(missing.empty() && extra.empty(), where, ": its arrays do not fit the network's inputs (",
          ListInputs(inputs), "): missing ", List(missing), "; unexpected ", List(extra));
}

DataSplit Split(const Dataset& dataset, size_t calibration_count, size_t evaluation_count,
                uint64_t seed) {
  const size_t group = dataset.group(), groups = dataset.size() / group;
  const size_t calibration = calibration_count / group + (calibration_count % group != 0);
  size_t evaluation = evaluation_count / group + (evaluation_count % group != 0);
  if (evaluation_count == 0 && calibration < groups) evaluation = groups - calibration;
  Require(calibration <= groups && evaluation <= groups - calibration && evaluation > 0,
          "the data has ", dataset.size(), " samples: not enough for ", calibration_count,
          " to calibrate and ", std::max<size_t>(evaluation_count, 1), " others to evaluate");
  std::vector<size_t> order(groups);
  for (size_t i = 0; i < groups; ++i) order[i] = i;
  std::mt19937_64 rng(seed);
  for (size_t i = 0; i < calibration + evaluation; ++i)
    std::swap(order[i], order[i + Below(rng, groups - i)]);

  const auto part = [&](size_t begin, size_t end) {
    std::vector<size_t> samples;
    for (size_t i = begin; i < end; ++i)
      for (size_t j = 0; j < group; ++j) samples.push_back(order[i] * group + j);
    std::ranges::sort(samples);
    return samples;
  };
  return {part(0, calibration), part(calibration, calibration + evaluation)};
}

}  // namespace mezzo
