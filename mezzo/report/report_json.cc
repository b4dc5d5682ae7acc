// The report as JSON. It is also what the charts of the page are drawn from, so figures are cut to
// what a chart can show and histograms are already small.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "mezzo/report/report.h"

namespace mezzo {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;

// Six digits tell more than anyone reads off a page, and keep it small.
Json Number(double v) {
  if (!std::isfinite(v)) return nullptr;
  char text[32];
  std::snprintf(text, sizeof(text), "%.6g", v);
  return std::strtod(text, nullptr);
}

Json Bytes(double v) { return std::isfinite(v) ? Json(static_cast<int64_t>(v)) : Json(nullptr); }

Json Step(const LadderStep& s) {
  return {{"tried", s.tried},
          {"distortion", Number(s.distortion)},
          {"metric", Number(s.metric)},
          {"loss", Number(s.loss)},
          {"regressions", Number(s.regressions)},
          {"int8_macs", Number(s.int8_macs)},
          {"kept", s.kept}};
}

Json Layer(const ReportLayer& l) {
  return {{"value", l.value},
          {"node", l.node},
          {"operator", l.op},
          {"precision", l.precision.empty() ? Json(nullptr) : Json(l.precision)},
          {"macs", Number(l.macs)},
          {"sqnr_db", Number(l.sqnr_db)},
          {"cosine", Number(l.cosine)},
          {"max_error", Number(l.max_error)}};
}

Json Activation(const ReportActivation& a) {
  return {{"value", a.value},
          {"used", a.used},
          {"sqnr_db", Number(a.sqnr_db)},
          {"grid_sqnr_db", Number(a.grid_sqnr_db)},
          {"calibration", a.calibration},
          {"symmetric", a.symmetric},
          {"lo", Number(a.lo)},
          {"hi", Number(a.hi)},
          {"scale", Number(a.scale)},
          {"zero_point", a.zero_point},
          {"min", Number(a.min)},
          {"max", Number(a.max)},
          {"clipped", Number(a.clipped)},
          {"zeros", Number(a.zeros)},
          {"histogram",
           {{"start", a.histogram.start},
            {"width", a.histogram.width},
            {"counts", a.histogram.counts}}}};
}

Json Headline(const Int8Report& r) {
  return {
      {"mezzo_report", kVersion},
      {"model", r.model},
      {"output", r.output},
      {"metric",
       {{"name", r.metric},
        {"higher_is_better", r.higher_is_better},
        {"float", Number(r.float_metric)},
        {"int8", Number(r.int8_metric)},
        {"standard_error", Number(r.standard_error)},
        {"loss", Number(r.loss)},
        {"tolerance", Number(r.tolerance)},
        {"within_tolerance", r.within_tolerance}}},
      {"samples", {{"calibration", r.calibration_samples}, {"evaluation", r.evaluation_samples}}},
      {"bytes", {{"float", Bytes(r.float_bytes)}, {"int8", Bytes(r.int8_bytes)}}},
      {"latency_ms",
       {{"float", Number(r.float_ms)},
        {"int8", Number(r.int8_ms)},
        {"threads", r.threads},
        {"cpu", r.cpu}}},
      {"macs", {{"total", Number(r.total_macs)}, {"int8", Number(r.int8_macs)}}},
      {"quantized_nodes", r.quantized_nodes},
      {"peak_memory_bytes", Bytes(r.peak_memory_bytes)}};
}

// Every list is there, if only empty: readers need no checks.
Json Summary(const Int8Report& r) {
  Json json = Headline(r);
  for (const char* list : {"stages", "ladder", "float_nodes", "notes"}) json[list] = Json::array();
  for (const ReportStage& s : r.stages)
    json["stages"].push_back({{"name", s.name}, {"seconds", Number(s.seconds)}});
  for (const LadderStep& s : r.ladder) json["ladder"].push_back(Step(s));
  for (const ReportFloatNode& n : r.floats)
    json["float_nodes"].push_back(
        {{"node", n.node}, {"operator", n.op}, {"macs", Number(n.macs)}, {"reason", n.reason}});
  for (const std::string& note : r.notes) json["notes"].push_back(note);
  return json;
}

std::string Text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string ToSummaryJson(const Int8Report& r) { return Text(Summary(r), 1); }

std::string ToJson(const Int8Report& r) {
  Json json = Summary(r);
  for (const char* list : {"worst_samples", "layers", "activations"}) json[list] = Json::array();
  for (const ReportSample& s : r.worst)
    json["worst_samples"].push_back({{"name", s.name},
                                     {"float_score", Number(s.float_score)},
                                     {"int8_score", Number(s.int8_score)},
                                     {"sqnr_db", Number(s.sqnr_db)}});
  for (const ReportLayer& l : r.layers) json["layers"].push_back(Layer(l));
  for (const ReportActivation& a : r.activations) json["activations"].push_back(Activation(a));
  return Text(json, -1);
}

}  // namespace mezzo
