// Quantized weights in safetensors, as Mezzo lays them out. Beside config.json's
//
//   "quantization_config": {"quant_method": "mezzo", "codes": "nf4", "group_size": 64,
//     "zero_points": false, "double_quant": false, "fp8": "e4m3fn", "activations": "fp8",
//     "activation_group": 0}
//
// a linear layer's NAME.weight (out, in) is
//
//   NAME.weight_packed      U8 (out, in / 2)    codes, the even column's in the low four bits
//   NAME.weight_scale       BF16 (out, groups)  U8 with double_quant: unsigned E3M5
//   NAME.weight_scale_unit  F32 (1)             only with double_quant: GroupCodes::unit
//   NAME.weight_zero_point  U8 (out, groups)    only with zero points
//   NAME.weight_outer       F32 (1)             GroupCodes::outer
//
// and the embedding's or the head's, in int8 with a scale for each row,
//
//   NAME.weight_codes       I8 (rows, columns)
//   NAME.weight_scale       F32 (rows)
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "mezzo/checkpoint/checkpoint.h"
#include "mezzo/tensor/group_codes.h"
#include "mezzo/tensor/row_codes.h"

namespace mezzo {

struct LlmQuantization {
  GroupFormat format;
  std::string activations = "float";  // what linear layers read: float, fp8 or int8 per token
  int64_t activation_group = 0;       // channels that share a scale; 0: all
};

// FileError beginning with `where`, naming the field.
LlmQuantization QuantizationFromJson(const nlohmann::ordered_json& json, const std::string& where);
nlohmann::ordered_json ToJson(const LlmQuantization& q);

// A matrix in float32, or in the codes that a file holds.
using StoredMatrix = std::variant<Tensor, GroupCodes, RowCodes>;

// Of a layer called `name`: "model.layers.0.mlp.up_proj". None if the checkpoint has no codes of
// either kind; FileError if they have other shapes.
std::optional<StoredMatrix> ReadCodes(const Checkpoint& c, const std::string& name,
                                      const GroupFormat& format, const Shape& shape);

// Tensors as they go into a file.
struct TensorBytes {
  TensorSpec spec;
  std::vector<uint8_t> bytes;
};
std::vector<TensorBytes> Packed(const std::string& name, const GroupCodes& codes);
std::vector<TensorBytes> Packed(const std::string& name, const RowCodes& codes);

}  // namespace mezzo
