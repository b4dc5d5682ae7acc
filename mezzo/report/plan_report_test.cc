#include "mezzo/report/plan_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "mezzo/base/error.h"
#include "mezzo/report/page_test.h"

namespace mezzo {
namespace {

PlanReport Sample() {
  PlanReport r;
  r.model = "net.onnx", r.plan = "net.plan.json";
  r.metric = "classify", r.loss_name = "KL divergence";
  r.float_metric = 0.75, r.float_bytes = 4e6;
  r.chosen = {1e6, 4.25, 0.011, 0.0125, 0.745};
  r.budgets = {{"size", "B", 1000100, 999900, 1e6},
               {"latency", "ns", 2e6, 1.9e6, 2.5e6},
               {"bops", "BOPs", 2e9, 1e9, NAN}};
  r.layers = {{"conv1", "Conv", 900, 9e5, {{"float32", 32, 3600, 0, NAN}}, 0, "excluded by hand"},
              {"conv2",
               "Conv",
               2e6,
               1e8,
               {{"int4/32", 4.5, 1125000, 0.01, 2e5}, {"nf4/64", 4.25, 1062500, 0.011, 3e5}},
               1,
               ""}};
  r.front = {{9e5, NAN, 0.02, NAN, NAN}, {2e6, NAN, 0.001, NAN, NAN}};
  r.series = {{"mezzo", {{1e6, 4.25, 0.011, 0.0125, 0.745}, {2e6, 8, 0.001, NAN, 0.75}}},
              {"uniform", {{1.1e6, 4.5, NAN, 0.03, 0.7}}}};
  r.validated = {"int4/32", "nf4/64"};
  r.rankings = {{"weights", 0.5, {0.25, NAN}}, {"gauss-newton", 0.96875, {0.9375, 0.984375}}};
  r.gap = 0.0025, r.greedy_loss = 0.022, r.lower_bound = 0.010975, r.solver_ms = 3.5;
  r.certificate = "a certificate";
  r.calibration_samples = 64, r.sensitivity_samples = 128, r.evaluation_samples = 500;
  r.notes = {"a note"};
  r.stages = {{"solving", 1.5}};
  r.peak_memory_bytes = 1e8, r.threads = 2, r.cpu = "A processor";
  return r;
}

TEST(PlanReport, JsonHoldsEveryFigure) {
  const auto json = nlohmann::json::parse(ToJson(Sample()));
  EXPECT_EQ(json["mezzo_plan_report"], 1);
  EXPECT_EQ(json["metric"]["float"], 0.75);
  EXPECT_EQ(json["float_bytes"], 4000000);
  EXPECT_EQ(json["chosen"]["bytes"], 1000000);
  EXPECT_EQ(json["chosen"]["output_loss"], 0.0125);
  EXPECT_EQ(json["budgets"][1]["limit"], 2e6);
  EXPECT_TRUE(json["budgets"][2]["real"].is_null()) << "NaN is null";
  EXPECT_EQ(json["layers"][0]["why_fixed"], "excluded by hand");
  EXPECT_EQ(json["layers"][1]["chosen"], 1);
  EXPECT_EQ(json["layers"][1]["options"][1]["format"], "nf4/64");
  EXPECT_EQ(json["layers"][1]["options"][1]["loss"], 0.011);
  EXPECT_EQ(json["front"][1]["predicted_loss"], 0.001);
  EXPECT_EQ(json["series"][0]["points"].size(), 2u);
  EXPECT_TRUE(json["series"][0]["points"][1]["output_loss"].is_null());
  EXPECT_EQ(json["validated"], (std::vector<std::string>{"int4/32", "nf4/64"}));
  EXPECT_EQ(json["rankings"][1]["correlation"], 0.96875);
  EXPECT_TRUE(json["rankings"][0]["by_option"][1].is_null());
  EXPECT_EQ(json["optimality"]["proven"], false);
  EXPECT_EQ(json["optimality"]["gap"], 0.0025);
  EXPECT_EQ(json["optimality"]["certificate"], "a certificate");
  EXPECT_EQ(json["samples"]["sensitivity"], 128);
  EXPECT_EQ(json["stages"][0]["seconds"], 1.5);
  EXPECT_EQ(json["cpu"], "A processor");
}

TEST(PlanReport, PageCarriesItsJsonAndSaysTheSameInTables) {
  const PlanReport r = Sample();
  const std::string page = ToHtml(r);
  EXPECT_EQ(JsonOf(page), nlohmann::json::parse(ToJson(r)));
  for (const char* section : {"budgets", "front", "layers", "rankings", "notes", "stages"})
    EXPECT_NE(page.find(Cat("<section id=\"", section, "\">")), page.npos) << section;
  for (const char* chart : {"metric", "loss", "series", "bits"})
    EXPECT_NE(page.find(Cat("data-chart=\"", chart, "\"")), page.npos) << chart;
  EXPECT_EQ(CountOf(page, "<table>"), 5u);
  for (const char* text :
       {"Top-1 accuracy", "25.0%, 4× smaller, 4.25 bits a weight", "≤ 0.25% from optimal",
        "the greedy's 0.022, 2×", "<p>a certificate</p>", "<code>conv2</code>", "excluded by hand",
        "int4/32: 4.5 bits, 1.12 MB, loss 0.01, 200 µs", "<td class=\"n\">0.984</td>",
        "<li>a note</li>", "2 threads, A processor"})
    EXPECT_NE(page.find(text), page.npos) << text;
  EXPECT_EQ(page.find("{{"), page.npos);
}

TEST(PlanReport, BudgetsAreMarkedByWhatTheModelReallyCosts) {
  const std::string page = ToHtml(Sample());
  EXPECT_EQ(CountOf(page, "<tr class=\"met\">"), 1u);
  EXPECT_EQ(CountOf(page, "<tr class=\"broken\">"), 1u) << "planned within, really beyond";
  EXPECT_EQ(CountOf(page, "✗"), 1u);
}

TEST(PlanReport, ProvenOptimalIsSaid) {
  PlanReport r = Sample();
  r.proven = true;
  EXPECT_NE(ToHtml(r).find("✓ proven optimal"), std::string::npos);
  EXPECT_EQ(ToHtml(r).find("from optimal"), std::string::npos);
}

TEST(PlanReport, PageAsksForNothingFromOutside) { ExpectAsksForNothing(ToHtml(Sample())); }

TEST(PlanReport, HostileNamesStayText) {
  PlanReport r = Sample();
  const size_t scripts = CountOf(ToHtml(r), "<script");
  r.model = r.plan = r.metric = r.loss_name = r.cpu = r.certificate = kHostile;
  r.budgets[0].name = r.budgets[0].unit = kHostile;
  r.layers[1].node = r.layers[1].op = r.layers[1].why_fixed = kHostile;
  r.layers[1].options[0].format = r.layers[1].options[1].format = kHostile;
  r.series[0].name = r.validated[0] = r.rankings[0].name = kHostile;
  r.notes[0] = r.stages[0].name = kHostile;
  const std::string page = ToHtml(r);
  EXPECT_EQ(CountOf(page, "<script"), scripts);
  EXPECT_EQ(CountOf(page, "</script"), scripts);
  EXPECT_EQ(page.find("<img"), page.npos);
  EXPECT_EQ(CountOf(page, "data-title=\"&lt;/script&gt;"), 2u) << "no way out of an attribute";
  EXPECT_EQ(JsonOf(page)["layers"][1]["node"], kHostile);
}

TEST(PlanReport, EmptyOneStillMakesAPage) {
  const std::string page = ToHtml(PlanReport());
  EXPECT_NE(page.find("No layer was measured alone"), page.npos);
  EXPECT_EQ(CountOf(page, "nan"), CountOf(page, "nanoseconds")) << "the script's word";
  EXPECT_TRUE(JsonOf(page)["layers"].empty());
  PlanReport r = Sample();
  r.layers[1].options.clear();  // nothing is chosen
  EXPECT_NE(ToHtml(r).find("<code>conv2</code>"), std::string::npos);
}

}  // namespace
}  // namespace mezzo
