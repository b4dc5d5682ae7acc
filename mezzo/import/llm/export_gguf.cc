// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#include <cmath>

#include "mezzo/base/error.h"
#include "mezzo/checkpoint/gguf.h"
#include "mezzo/format/gguf_blocks.h"
#include "mezzo/format/half.h"
#include "mezzo/import/llm/export.h"
#include "mezzo/import/llm/gguf_metadata.h"
#include "mezzo/import/llm/names.h"
#include "mezzo/import/llm/parameters.h"

namespace mezzo {
namespace {

constexpr int64_t kBlock = 32;  // elements of the block formats used here

// Numbers on their way into binary16, and how many of them were not there already.
struct Halves {
  const char* what;
  double silent = 0;  // a share that is not worth telling
  int64_t count = 0, rounded = 0;
  double worst = 0;  // as a share of the number

  float Round(float f, const std::string& tensor) {
    const float h = HalfToFloat(FloatToHalf(f));
    RequireFile(std::isfinite(h), tensor, ": ", what, " ", f,
                " is beyond binary16, whose largest number is 65504");
    ++count;
    if (h != f) {
      ++rounded;
      worst = std::max(worst, std::fabs(double(h) - f) / std::fabs(f));
    }
    return h;
  }
  void Tell(std::vector<std::string>& notes) const {
    if (worst > silent)
      notes.push_back(Cat(rounded, " of ", count, " ", what, "s are no binary16 and were rounded, ",
                          "by at most ", 100 * worst, "%"));
  }
};

template <class T>
std::vector<T> Taken(const std::vector<T>& from, const std::vector<int64_t>& rows) {
  const int64_t width = static_cast<int64_t>(from.size() / rows.size());
  std::vector<T> to;
  to.reserve(from.size());
  for (const int64_t r : rows)
    to.insert(to.end(), from.begin() + r * width, from.begin() + (r + 1) * width);
  return to;
}

Tensor Reordered(const Tensor& t, const std::vector<int64_t>& rows) {
  const auto all = t.span<float>();
  return Tensor::Of(Taken(std::vector<float>(all.begin(), all.end()), rows), t.shape());
}
GroupCodes Reordered(const GroupCodes& g, const std::vector<int64_t>& rows) {
  return {g.format,
          g.rows,
          g.cols,
          g.outer,
          g.unit,
          Taken(g.codes, rows),
          Taken(g.scales, rows),
          Taken(g.zeros, rows)};
}
RowCodes Reordered(const RowCodes& r, const std::vector<int64_t>& rows) {
  return {r.rows, r.cols, Taken(r.codes, rows), Taken(r.scales, rows)};
}

// Parameters as they lie in the file.
class Encoder {
 public:
  explicit Encoder(const LanguageModel& model)
      : path_(model.path()), config_(model.config()), turns_(GgufArchitecture(config_) == "llama") {
    const auto& q = config_.quantization;
    if (!q) return;
    Require(q->format.codes->name != "nf4", path_, ": GGUF has no type for nf4 codes; ",
            "quantize with --codes int4 or iq4nl");
    Require(q->format.group % kBlock == 0, path_, ": groups of ", q->format.group,
            ", GGUF's blocks need multiples of ", kBlock);
  }

  TensorSpec Spec(const Parameter& p) const {
    const TensorSpec spec{GgufName(p.name), StorageOf(p), p.shape()};
    Require(spec.storage == Storage::kF32 || spec.shape[1] % kBlock == 0, path_, ": tensor ",
            p.name, " has rows of ", spec.shape[1], ", GGUF's blocks need multiples of ", kBlock);
    return spec;
  }

  std::vector<uint8_t> Encode(const Parameter& p) {
    tensor_ = Cat(path_, ": tensor '", p.name, "'");
    std::vector<int64_t> rows(p.shape()[0]);
    const bool turned = turns_ && IsTurned(p.name);
    for (int64_t r = 0; r < p.shape()[0]; ++r)
      rows[r] = turned ? RowInHalves(r, config_.head_size) : r;
    return std::visit([&](const auto& v) { return turned ? Bytes(Reordered(v, rows)) : Bytes(v); },
                      p.value);
  }

  std::vector<std::string> Notes() const {
    std::vector<std::string> notes;
    for (const Halves* h : {&scales_, &offsets_, &row_scales_}) h->Tell(notes);
    const auto& q = config_.quantization;
    if (q && q->format.fp8)
      notes.push_back("weights are scale * code, not rounded to FP8: GGUF has no place for that");
    if (q && q->activations != "float")
      notes.push_back(
          Cat("activations are not quantized to ", q->activations, ": GGUF has no place for that"));
    return notes;
  }

 private:
  static Storage StorageOf(const Parameter& p) {
    if (std::holds_alternative<Tensor>(p.value)) return Storage::kF32;
    if (std::holds_alternative<RowCodes>(p.value)) return Storage::kQ8_0;
    return BlockStorage(std::get<GroupCodes>(p.value).format);
  }

  std::vector<uint8_t> Bytes(const Tensor& t) const {
    const auto* bytes = static_cast<const uint8_t*>(t.raw());
    return {bytes, bytes + t.bytes()};
  }

  std::vector<uint8_t> Bytes(const RowCodes& r) {
    std::vector<float> scales;
    for (const float s : r.scales) Repeat(scales, row_scales_.Round(s, tensor_), r.cols);
    return PackQ8_0(r.codes, scales);
  }

  std::vector<uint8_t> Bytes(const GroupCodes& g) {
    std::vector<float> scales, offsets;
    for (size_t i = 0; i < g.scales.size(); ++i) {
      const float scale = scales_.Round(g.outer * g.scales[i], tensor_);
      Repeat(scales, scale, g.format.group);
      if (g.format.zero_points)
        Repeat(offsets, offsets_.Round(-scale * static_cast<float>(g.zeros[i]), tensor_),
               g.format.group);
    }
    const bool q4_0 = BlockStorage(g.format) == Storage::kQ4_0;
    std::vector<int8_t> codes;
    codes.reserve(g.codes.size());
    for (const uint8_t c : g.codes) codes.push_back(static_cast<int8_t>(q4_0 ? c - 8 : c));
    if (g.format.zero_points) return PackQ4_1(codes, scales, offsets);
    return q4_0 ? PackQ4_0(codes, scales) : PackIQ4_NL(codes, scales);
  }

  // A number for each block of the `elements` that share it.
  static void Repeat(std::vector<float>& to, float f, int64_t elements) {
    to.insert(to.end(), static_cast<size_t>(elements / kBlock), f);
  }

  const std::string path_;
  const LlmConfig& config_;
  const bool turns_;  // llama.cpp turns neighbours
  std::string tensor_;
  Halves scales_{"scale"}, offsets_{"offset"};
  Halves row_scales_{"row scale", 0x1p-11};  // float32 ones: half an ulp is what one expects
};

}  // namespace

std::vector<std::string> ExportGguf(const LanguageModel& model, const std::filesystem::path& out) {
  Require(model.paths().empty(), model.path(), ": has recovery paths, which this file cannot hold");
  Encoder encoder(model);
  std::vector<TensorSpec> specs;
  ForEachParameter(model, [&](int64_t, const Parameter& p) { specs.push_back(encoder.Spec(p)); });
  const Tensor factors = RotaryFactors(model.config());
  if (factors.defined()) specs.push_back({"rope_freqs.weight", Storage::kF32, factors.shape()});

  CheckpointWriter writer = WriteGguf(out, specs, GgufMetadataOf(model, out.stem().string()));
  ForEachParameter(model, [&](int64_t, const Parameter& p) {
    const std::vector<uint8_t> bytes = encoder.Encode(p);
    writer.Add(GgufName(p.name), bytes.data(), bytes.size());
  });
  if (factors.defined()) writer.Add("rope_freqs.weight", factors.raw(), factors.bytes());
  writer.Commit();
  return encoder.Notes();
}

}  // namespace mezzo
