// Safetensors files. https://huggingface.co/docs/safetensors
//
//   header size (8 bytes) | {"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
//   "__metadata__": {"KEY": "TEXT"}} spaces | data, in which every byte belongs to one tensor
//
// Refused with a FileError that names file and tensor: a header over 100 MB, one that does not
// begin with '{', is no JSON, names a tensor or field twice or has fields that are not of the
// format; an unknown dtype; offsets that do not match the shape, overlap, leave holes, or do not
// end where the file does.
#pragma once

#include "mezzo/checkpoint/checkpoint.h"

namespace mezzo {

using SafetensorsMetadata = std::map<std::string, std::string>;

struct Safetensors : Checkpoint {
  SafetensorsMetadata metadata;
};

// `path` is a file or a folder. In a folder, model.safetensors.index.json names the file in which
// each tensor lies: tensors that are missing, or there but not named, are refused; the metadata is
// that of all files, the first one's where they disagree. Without it model.safetensors is read.
Safetensors ReadSafetensors(const std::filesystem::path& path);
Safetensors ParseSafetensors(const MappedFile& file);

// Begins a file with these tensors in this order. UsageError for blocks (storage.h), which the
// format does not have, the name __metadata__, or names that are no UTF-8.
CheckpointWriter WriteSafetensors(const std::filesystem::path& path,
                                  std::vector<TensorSpec> tensors,
                                  const SafetensorsMetadata& metadata = {});

}  // namespace mezzo
