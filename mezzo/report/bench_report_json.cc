// The bench report as JSON, and what its other forms share. The charts of its page are drawn from
// the JSON too.
#include <cmath>

#include "mezzo/report/bench_report.h"
#include "mezzo/report/json.h"

namespace mezzo {
namespace {

Json Layer(const BenchLayer& l) {
  Json replaces = Json::array();
  for (const auto& [node, op] : l.replaces) replaces.push_back({{"name", node}, {"operator", op}});
  return {{"name", l.node},
          {"operator", l.op},
          {"replaces", replaces},
          {"fused", Fused(l)},
          {"output_type", l.type},
          {"output_shape", l.shape},
          {"arithmetic", l.macs > 0 ? l.integer ? "int8" : "float" : ""},
          {"ms", JsonNumber(l.ms)},
          {"macs", JsonBytes(l.macs)},
          {"operations_per_second", JsonNumber(l.operations_per_second())},
          {"bytes", JsonBytes(l.bytes)},
          {"bytes_per_second", JsonNumber(l.bytes_per_second())},
          {"roofline_ms", JsonNumber(l.roofline_ms)},
          {"share_of_roofline", JsonNumber(l.share_of_roofline())}};
}

}  // namespace

double BenchLayer::operations_per_second() const {
  return macs > 0 && ms > 0 ? 2e3 * macs / ms : NAN;
}
double BenchLayer::bytes_per_second() const { return ms > 0 ? 1e3 * bytes / ms : NAN; }
double BenchLayer::share_of_roofline() const { return ms > 0 ? roofline_ms / ms : NAN; }

BenchLayer Total(const BenchReport& report) {
  BenchLayer sum{.node = "all layers", .roofline_ms = NAN};
  for (const BenchLayer& l : report.layers) {
    sum.ms += l.ms;
    sum.macs += l.macs;
    sum.bytes += l.bytes;
    if (std::isfinite(l.roofline_ms))
      sum.roofline_ms = l.roofline_ms + (std::isfinite(sum.roofline_ms) ? sum.roofline_ms : 0);
  }
  return sum;
}

std::string Fused(const BenchLayer& layer) {
  if (layer.replaces.size() == 1 && layer.replaces[0].second == layer.op) return "";
  bool others = false;
  for (const auto& [node, op] : layer.replaces) others |= op != "DequantizeLinear";
  std::string text;
  for (const auto& [node, op] : layer.replaces)
    if (!others || op != "DequantizeLinear")
      text += (text.empty() ? "" : " + ") + (op == "QuantizeLinear" ? "Q" : op);
  return text;
}

std::string ToJson(const BenchReport& r) {
  Json json{{"model", r.model},
            {"quantized", r.quantized},
            {"threads", r.threads},
            {"runs", r.runs},
            {"median_ms", JsonNumber(r.median_ms)},
            {"min_ms", JsonNumber(r.min_ms)},
            {"first_ms", JsonNumber(r.first_ms)},
            {"load_ms", JsonNumber(r.load_ms)},
            {"peak_memory_bytes", JsonBytes(r.peak_memory_bytes)},
            {"cpu", r.cpu}};
  if (!r.layers.empty()) {
    json["machine"] = {{"int8_macs_per_second", JsonNumber(r.peak.int8_macs)},
                       {"float_macs_per_second", JsonNumber(r.peak.float_macs)},
                       {"read_bytes_per_second", JsonNumber(r.peak.read_bytes)},
                       {"last_cache_bytes", r.peak.cache_bytes}};
    json["layers_ms"] = JsonNumber(Total(r).ms);
    for (const BenchLayer& l : r.layers) json["layers"].push_back(Layer(l));
  }
  return JsonText(json, 1);
}

}  // namespace mezzo
