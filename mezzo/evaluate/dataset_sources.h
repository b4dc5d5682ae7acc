// The kinds of datasets behind OpenDataset, for its use only.
#pragma once

#include "mezzo/evaluate/dataset.h"
#include "mezzo/evaluate/labels_csv.h"

namespace mezzo {

std::unique_ptr<Dataset> OpenImageFolder(const std::filesystem::path& folder,
                                         const ValueInfo& input, const Preprocess& preprocess);
std::unique_ptr<Dataset> OpenNpz(const std::filesystem::path& path,
                                 const std::vector<ValueInfo>& inputs);
std::unique_ptr<Dataset> OpenNpzFolder(const std::filesystem::path& folder,
                                       const std::vector<ValueInfo>& inputs);

// labels.csv of the folder, or nothing if there is none. Throws FileError for a row whose file, or
// target, does not exist.
std::optional<LabelFile> ReadLabels(const std::filesystem::path& folder);
// The files under the folder with one of the extensions (lower case, with dot; any case matches),
// relative to it, sorted.
std::vector<std::string> ListFiles(const std::filesystem::path& folder,
                                   const std::vector<std::string>& extensions);

}  // namespace mezzo
