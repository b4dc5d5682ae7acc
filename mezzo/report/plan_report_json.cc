// The report of a plan as JSON. The charts of its page are drawn from it too.
#include "mezzo/report/json.h"
#include "mezzo/report/plan_report.h"

namespace mezzo {
namespace {

constexpr int kVersion = 1;

Json Point(const PlanPoint& p) {
  return {{"bytes", JsonBytes(p.bytes)},
          {"average_bits", JsonNumber(p.average_bits)},
          {"predicted_loss", JsonNumber(p.predicted_loss)},
          {"output_loss", JsonNumber(p.output_loss)},
          {"metric", JsonNumber(p.metric)}};
}

Json Layer(const PlanLayer& l) {
  Json options = Json::array();
  for (const PlanOption& o : l.options)
    options.push_back({{"format", o.format},
                       {"bits", JsonNumber(o.bits)},
                       {"bytes", JsonBytes(o.bytes)},
                       {"loss", JsonNumber(o.loss)},
                       {"nanoseconds", JsonNumber(o.nanoseconds)}});
  return {{"node", l.node},
          {"operator", l.op},
          {"weights", JsonNumber(l.weights)},
          {"macs", JsonNumber(l.macs)},
          {"options", options},
          {"chosen", l.chosen},
          {"why_fixed", l.why_fixed.empty() ? Json(nullptr) : Json(l.why_fixed)}};
}

Json Headline(const PlanReport& r) {
  return {{"mezzo_plan_report", kVersion},
          {"model", r.model},
          {"plan", r.plan},
          {"metric",
           {{"name", r.metric},
            {"higher_is_better", r.higher_is_better},
            {"float", JsonNumber(r.float_metric)}}},
          {"loss_name", r.loss_name},
          {"float_bytes", JsonBytes(r.float_bytes)},
          {"chosen", Point(r.chosen)},
          {"optimality",
           {{"proven", r.proven},
            {"gap", JsonNumber(r.gap)},
            {"lower_bound", JsonNumber(r.lower_bound)},
            {"greedy_loss", JsonNumber(r.greedy_loss)},
            {"solver_ms", JsonNumber(r.solver_ms)},
            {"certificate", r.certificate}}},
          {"samples",
           {{"calibration", r.calibration_samples},
            {"sensitivity", r.sensitivity_samples},
            {"evaluation", r.evaluation_samples}}},
          {"threads", r.threads},
          {"cpu", r.cpu},
          {"peak_memory_bytes", JsonBytes(r.peak_memory_bytes)},
          {"stages", ToJson(r.stages)}};
}

}  // namespace

// Every list is there, if only empty: readers need no checks.
std::string ToJson(const PlanReport& r) {
  Json json = Headline(r);
  for (const char* list :
       {"budgets", "layers", "front", "series", "validated", "rankings", "activations", "notes"})
    json[list] = Json::array();
  for (const PlanBudget& b : r.budgets)
    json["budgets"].push_back({{"name", b.name},
                               {"unit", b.unit},
                               {"limit", JsonNumber(b.limit)},
                               {"planned", JsonNumber(b.planned)},
                               {"real", JsonNumber(b.real)}});
  for (const PlanLayer& l : r.layers) json["layers"].push_back(Layer(l));
  for (const PlanPoint& p : r.front)
    json["front"].push_back(
        {{"bytes", JsonBytes(p.bytes)}, {"predicted_loss", JsonNumber(p.predicted_loss)}});
  for (const PlanSeries& s : r.series) {
    Json points = Json::array();
    for (const PlanPoint& p : s.points) points.push_back(Point(p));
    json["series"].push_back({{"name", s.name}, {"points", points}});
  }
  for (const std::string& option : r.validated) json["validated"].push_back(option);
  for (const PlanRanking& k : r.rankings) {
    Json by_option = Json::array();
    for (const double v : k.by_option) by_option.push_back(JsonNumber(v));
    json["rankings"].push_back(
        {{"name", k.name}, {"correlation", JsonNumber(k.correlation)}, {"by_option", by_option}});
  }
  for (const PlanActivation& a : r.activations) {
    Json losses = Json::object();
    for (size_t i = 0; i < r.activation_formats.size() && i < a.losses.size(); ++i)
      losses[r.activation_formats[i]] = JsonNumber(a.losses[i]);
    json["activations"].push_back({{"value", a.value}, {"losses", losses}});
  }
  for (const std::string& note : r.notes) json["notes"].push_back(note);
  return JsonText(json);
}

}  // namespace mezzo
