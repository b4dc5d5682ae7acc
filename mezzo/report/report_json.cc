// The report as JSON. It is also what the charts of the page are drawn from, so figures are cut to
// what a chart can show and histograms are already small.
#include "mezzo/report/json.h"
#include "mezzo/report/report.h"

namespace mezzo {
namespace {

constexpr int kVersion = 1;

Json Step(const LadderStep& s) {
  return {{"tried", s.tried},
          {"distortion", JsonNumber(s.distortion)},
          {"metric", JsonNumber(s.metric)},
          {"loss", JsonNumber(s.loss)},
          {"regressions", JsonNumber(s.regressions)},
          {"int8_macs", JsonNumber(s.int8_macs)},
          {"kept", s.kept}};
}

Json Layer(const ReportLayer& l) {
  return {{"value", l.value},
          {"node", l.node},
          {"operator", l.op},
          {"precision", l.precision.empty() ? Json(nullptr) : Json(l.precision)},
          {"macs", JsonNumber(l.macs)},
          {"sqnr_db", JsonNumber(l.sqnr_db)},
          {"cosine", JsonNumber(l.cosine)},
          {"max_error", JsonNumber(l.max_error)}};
}

Json Activation(const ReportActivation& a) {
  return {{"value", a.value},
          {"used", a.used},
          {"sqnr_db", JsonNumber(a.sqnr_db)},
          {"grid_sqnr_db", JsonNumber(a.grid_sqnr_db)},
          {"calibration", a.calibration},
          {"symmetric", a.symmetric},
          {"lo", JsonNumber(a.lo)},
          {"hi", JsonNumber(a.hi)},
          {"scale", JsonNumber(a.scale)},
          {"zero_point", a.zero_point},
          {"min", JsonNumber(a.min)},
          {"max", JsonNumber(a.max)},
          {"clipped", JsonNumber(a.clipped)},
          {"zeros", JsonNumber(a.zeros)},
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
        {"float", JsonNumber(r.float_metric)},
        {"int8", JsonNumber(r.int8_metric)},
        {"standard_error", JsonNumber(r.standard_error)},
        {"loss", JsonNumber(r.loss)},
        {"tolerance", JsonNumber(r.tolerance)},
        {"within_tolerance", r.within_tolerance}}},
      {"samples", {{"calibration", r.calibration_samples}, {"evaluation", r.evaluation_samples}}},
      {"bytes", {{"float", JsonBytes(r.float_bytes)}, {"int8", JsonBytes(r.int8_bytes)}}},
      {"latency_ms",
       {{"float", JsonNumber(r.float_ms)},
        {"int8", JsonNumber(r.int8_ms)},
        {"threads", r.threads},
        {"cpu", r.cpu}}},
      {"macs", {{"total", JsonNumber(r.total_macs)}, {"int8", JsonNumber(r.int8_macs)}}},
      {"quantized_nodes", r.quantized_nodes},
      {"peak_memory_bytes", JsonBytes(r.peak_memory_bytes)}};
}

// Every list is there, if only empty: readers need no checks.
Json Summary(const Int8Report& r) {
  Json json = Headline(r);
  json["stages"] = ToJson(r.stages);
  for (const char* list : {"ladder", "float_nodes", "notes"}) json[list] = Json::array();
  for (const LadderStep& s : r.ladder) json["ladder"].push_back(Step(s));
  for (const ReportFloatNode& n : r.floats)
    json["float_nodes"].push_back(
        {{"node", n.node}, {"operator", n.op}, {"macs", JsonNumber(n.macs)}, {"reason", n.reason}});
  for (const std::string& note : r.notes) json["notes"].push_back(note);
  return json;
}

}  // namespace

std::string ToSummaryJson(const Int8Report& r) { return JsonText(Summary(r), 1); }

std::string ToJson(const Int8Report& r) {
  Json json = Summary(r);
  for (const char* list : {"worst_samples", "layers", "activations"}) json[list] = Json::array();
  for (const ReportSample& s : r.worst)
    json["worst_samples"].push_back({{"name", s.name},
                                     {"float_score", JsonNumber(s.float_score)},
                                     {"int8_score", JsonNumber(s.int8_score)},
                                     {"sqnr_db", JsonNumber(s.sqnr_db)}});
  for (const ReportLayer& l : r.layers) json["layers"].push_back(Layer(l));
  for (const ReportActivation& a : r.activations) json["activations"].push_back(Activation(a));
  return JsonText(json);
}

}  // namespace mezzo
