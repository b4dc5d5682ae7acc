#include "mezzo/import/llm/quantized.h"

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "mezzo/base/error.h"
#include "mezzo/format/half.h"
#include "mezzo/import/llm/shards.h"

namespace mezzo {
namespace {

using Json = nlohmann::ordered_json;

const StoredTensor& At(const Checkpoint& c, const std::string& name, Storage storage,
                       const Shape& shape) {
  const StoredTensor& t = c.At(name);
  RequireFile(t.storage == storage && t.shape == shape, t.where, ": ", Info(t.storage).name, " ",
              ToString(t.shape), ", needs ", Info(storage).name, " ", ToString(shape));
  return t;
}

std::vector<float> Floats(const Tensor& t) {
  return {t.span<float>().begin(), t.span<float>().end()};
}

void ReadScales(const Checkpoint& c, const std::string& name, GroupCodes& g) {
  const std::string scale = name + ".weight_scale";
  const Shape by_group{g.rows, g.groups()};
  if (!g.format.double_quant) {
    g.scales = Floats(At(c, scale, Storage::kBF16, by_group).Read());
    return;
  }
  const StoredTensor& unit = At(c, scale + "_unit", Storage::kF32, {1});
  g.unit = *unit.Read().data<float>();
  int exponent;
  RequireFile(std::frexp(g.unit, &exponent) == 0.5f, unit.where, ": got ", g.unit,
              ", needs a power of two");
  for (const uint8_t code : At(c, scale, Storage::kU8, by_group).bytes)
    g.scales.push_back(g.unit * UnsignedE3M5ToFloat(code));
}

TensorBytes PackedScales(const std::string& name, const GroupCodes& g) {
  const Shape shape{g.rows, g.groups()};
  if (g.format.double_quant) {
    std::vector<uint8_t> codes;
    for (const float s : g.scales) codes.push_back(FloatToUnsignedE3M5(s / g.unit));
    return ToBytes(name, Storage::kU8, shape, codes);
  }
  std::vector<uint16_t> scales;
  for (const float s : g.scales) scales.push_back(FloatToBFloat16(s));
  return ToBytes(name, Storage::kBF16, shape, scales);
}

std::optional<GroupCodes> ReadGroupCodes(const Checkpoint& c, const std::string& name,
                                         const GroupFormat& format, const Shape& shape) {
  if (!c.tensors.contains(name + ".weight_packed")) return std::nullopt;
  const int64_t rows = shape[0], cols = shape[1];
  RequireFile(cols % format.group == 0, c.path, ": groups of ", format.group, " for ", name,
              " with ", cols, " inputs");
  GroupCodes g{format, rows, cols};
  const Shape by_group{rows, g.groups()};
  const StoredTensor& packed = At(c, name + ".weight_packed", Storage::kU8, {rows, cols / 2});
  g.codes.resize(packed.bytes.size() * 2);
  for (size_t i = 0; i < packed.bytes.size(); ++i) {
    g.codes[2 * i] = packed.bytes[i] & 15;
    g.codes[2 * i + 1] = packed.bytes[i] >> 4;
  }
  ReadScales(c, name, g);
  if (format.zero_points) {
    const auto zeros = At(c, name + ".weight_zero_point", Storage::kU8, by_group).bytes;
    g.zeros.assign(zeros.begin(), zeros.end());
  }
  g.outer = *At(c, name + ".weight_outer", Storage::kF32, {1}).Read().data<float>();
  return g;
}

std::optional<RowCodes> ReadRowCodes(const Checkpoint& c, const std::string& name,
                                     const Shape& shape) {
  if (!c.tensors.contains(name + ".weight_codes")) return std::nullopt;
  RowCodes r{shape[0], shape[1], {}, {}};
  const auto bytes = At(c, name + ".weight_codes", Storage::kI8, shape).bytes;
  r.codes.resize(bytes.size());
  std::memcpy(r.codes.data(), bytes.data(), bytes.size());
  r.scales = Floats(At(c, name + ".weight_scale", Storage::kF32, {shape[0]}).Read());
  return r;
}

}  // namespace

LlmQuantization QuantizationFromJson(const Json& json, const std::string& where) {
  RequireFile(json.is_object() && json.value("quant_method", "") == "mezzo", where,
              ": needs quant_method mezzo");
  LlmQuantization q;
  try {
    q.format.codes = FindCodebook(json.at("codes").get<std::string>());
    q.format.group = json.at("group_size").get<int64_t>();
    q.format.zero_points = json.at("zero_points").get<bool>();
    q.format.double_quant = json.value("double_quant", false);
    if (const Json& fp8 = json.at("fp8"); !fp8.is_null()) {
      const auto name = fp8.get<std::string>();
      RequireFile(name == "e4m3fn" || name == "e4m3fnuz", where, ".fp8: got '", name,
                  "', needs e4m3fn or e4m3fnuz");
      q.format.fp8 = name == "e4m3fn" ? kE4M3FN : kE4M3FNUZ;
    }
    q.activations = json.at("activations").get<std::string>();
    q.activation_group = json.at("activation_group").get<int64_t>();
  } catch (const Json::exception& e) {
    throw FileError(Cat(where, ": ", e.what()));
  }
  RequireFile(q.format.codes != nullptr, where, ".codes: got ", json.at("codes").dump(), ", needs ",
              CodebookNames());
  RequireFile(q.format.group > 0 && q.format.group % 2 == 0, where, ".group_size: got ",
              q.format.group, ", needs a positive even number");
  RequireFile(q.activations == "float" || q.activations == "fp8" || q.activations == "int8", where,
              ".activations: got '", q.activations, "', needs float, fp8 or int8");
  RequireFile(q.activation_group >= 0, where, ".activation_group: got ", q.activation_group);
  return q;
}

Json ToJson(const LlmQuantization& q) {
  const GroupFormat& f = q.format;
  return {{"quant_method", "mezzo"},
          {"codes", f.codes->name},
          {"group_size", f.group},
          {"zero_points", f.zero_points},
          {"double_quant", f.double_quant},
          {"fp8", !f.fp8                      ? Json(nullptr)
                  : f.fp8->max == kE4M3FN.max ? Json("e4m3fn")
                                              : Json("e4m3fnuz")},
          {"activations", q.activations},
          {"activation_group", q.activation_group}};
}

std::optional<StoredMatrix> ReadCodes(const Checkpoint& c, const std::string& name,
                                      const GroupFormat& format, const Shape& shape) {
  if (auto groups = ReadGroupCodes(c, name, format, shape)) return *std::move(groups);
  if (auto rows = ReadRowCodes(c, name, shape)) return *std::move(rows);
  return std::nullopt;
}

std::vector<TensorBytes> Packed(const std::string& name, const GroupCodes& g) {
  std::vector<uint8_t> nibbles(g.codes.size() / 2);
  for (size_t i = 0; i < nibbles.size(); ++i)
    nibbles[i] = static_cast<uint8_t>(g.codes[2 * i] | g.codes[2 * i + 1] << 4);
  const Shape by_group{g.rows, g.groups()};
  std::vector<TensorBytes> t{
      ToBytes(name + ".weight_packed", Storage::kU8, {g.rows, g.cols / 2}, nibbles),
      PackedScales(name + ".weight_scale", g),
      ToBytes(name + ".weight_outer", Storage::kF32, {1}, std::vector<float>{g.outer})};
  if (g.format.double_quant)
    t.push_back(
        ToBytes(name + ".weight_scale_unit", Storage::kF32, {1}, std::vector<float>{g.unit}));
  if (!g.zeros.empty())
    t.push_back(ToBytes(name + ".weight_zero_point", Storage::kU8, by_group, g.zeros));
  return t;
}

std::vector<TensorBytes> Packed(const std::string& name, const RowCodes& r) {
  return {ToBytes(name + ".weight_codes", Storage::kI8, {r.rows, r.cols}, r.codes),
          ToBytes(name + ".weight_scale", Storage::kF32, {r.rows}, r.scales)};
}

}  // namespace mezzo
