#include "mezzo/report/chip_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "mezzo/base/error.h"
#include "mezzo/report/page_test.h"

namespace mezzo {
namespace {

ChipReport Sample() {
  ChipReport r;
  r.model = "net-nf4.onnx", r.metric = "top1";
  r.integer_engine = 0.8125, r.samples = 500, r.chips = 3;
  r.series = {{"none",
               "without paths",
               {{0, 0.75, 0, 0, {0.75}}, {0.125, 0.5, 0.0625, 0.155, {0.4375, 0.5, 0.5625}}}},
              {"chip",
               "paths fitted to each chip",
               {{0, 0.8125, 0, 0, {0.8125}}, {0.125, 0.625, 0.03125, 0.078, {0.625}}}},
              {"chips",
               "paths fitted to 8 other chips",
               {{0, 0.8125, 0, 0, {0.8125}}, {0.125, 0.375, NAN, NAN, {0.375, NAN}}}}};
  r.layers = {{"conv1", 2000, 9e5, 27, 5, 4, 0.04, 0.01}, {"fc", 640, 640, 64, 8, 0, NAN, NAN}};
  r.digital = {"attention"};
  r.energy = {{"cells", 3e10}, {"converters", 1e10}};
  r.tops_per_watt = 12.5, r.tops_per_watt_without_memory = 15.25;
  r.assumptions = {"an assumption"};
  r.settings = {{"adc-bits", "6"}, {"read-noise", "0.5"}};
  r.stages = {{"simulating", 1.5}};
  r.peak_memory_bytes = 1e8, r.threads = 2, r.cpu = "A processor";
  return r;
}

TEST(ChipReport, JsonHoldsEveryFigure) {
  const auto json = nlohmann::json::parse(ToJson(Sample()));
  EXPECT_EQ(nlohmann::ordered_json::parse(ToJson(Sample())).begin().key(), "mezzo_chip_report");
  EXPECT_EQ(json["mezzo_chip_report"], 1);
  EXPECT_EQ(json["model"], "net-nf4.onnx");
  EXPECT_EQ(json["metric"], nlohmann::json::parse(R"({"name": "top1", "higher_is_better": true,
                                                      "integer_engine": 0.8125})"));
  EXPECT_EQ(json["samples"], 500);
  EXPECT_EQ(json["chips"], 3);
  EXPECT_EQ(json["series"].size(), 3u);
  EXPECT_EQ(json["series"][1]["recovery"], "chip");
  EXPECT_EQ(json["series"][1]["meaning"], "paths fitted to each chip");
  EXPECT_EQ(json["series"][0]["points"][1],
            nlohmann::json::parse(R"({"sigma": 0.125, "mean": 0.5, "deviation": 0.0625,
                                      "half_width": 0.155, "values": [0.4375, 0.5, 0.5625]})"));
  EXPECT_EQ(json["layers"][0], nlohmann::json::parse(
                                   R"({"node": "conv1", "weights": 2000, "macs": 900000, "rows": 27,
                                       "planes": 5, "rank": 4, "noise": 0.04, "left": 0.01})"));
  EXPECT_EQ(json["digital"], (std::vector<std::string>{"attention"}));
  EXPECT_EQ(json["energy"][1]["name"], "converters");
  EXPECT_EQ(json["energy"][1]["femtojoules"], 1e10);
  EXPECT_EQ(json["tops_per_watt"], 12.5);
  EXPECT_EQ(json["tops_per_watt_without_memory"], 15.25);
  EXPECT_EQ(json["assumptions"], (std::vector<std::string>{"an assumption"}));
  EXPECT_EQ(json["settings"][1]["option"], "read-noise");
  EXPECT_EQ(json["settings"][1]["value"], "0.5");
  EXPECT_EQ(json["stages"][0]["seconds"], 1.5);
  EXPECT_EQ(json["peak_memory_bytes"], 100000000);
  EXPECT_EQ(json["threads"], 2);
  EXPECT_EQ(json["cpu"], "A processor");
}

TEST(ChipReport, PageCarriesItsJsonAndSaysTheSameInTables) {
  const ChipReport r = Sample();
  const std::string page = ToHtml(r);
  EXPECT_EQ(JsonOf(page), nlohmann::json::parse(ToJson(r)));
  for (const char* section : {"chips", "energy", "layers", "digital", "settings", "stages"})
    EXPECT_NE(page.find(Cat("<section id=\"", section, "\">")), page.npos) << section;
  for (const char* chart : {"metric", "energy", "recovered"})
    EXPECT_NE(page.find(Cat("data-chart=\"", chart, "\"")), page.npos) << chart;
  EXPECT_EQ(CountOf(page, "<table>"), 4u);
  for (const char* text :
       {"data-title=\"Top-1 accuracy\"", "<p class=\"big\">12.5</p><p>15.2 without the memories",
        "3 × 500</p><p>2 layers on arrays, 1 product digital",
        "none<br><small>without paths</small></td><td class=\"n\">0</td><td class=\"n\">0.75</td>",
        "<td class=\"n\">0.062</td><td class=\"n\">±&nbsp;0.15</td>",
        "<td>cells</td><td class=\"n\">30000</td><td class=\"n\">75.0%</td>",
        "<td>all</td><td class=\"n\">40000</td><td class=\"n\">100.0%</td>",
        "<code>conv1</code></td><td class=\"n\">2 k</td><td class=\"n\">900 k</td>",
        "<td class=\"n\">4</td><td class=\"n\">4.00%</td><td class=\"n\">1.00%</td>"
        "<td class=\"n\">75.0%</td>",
        "<li>attention</li>", "<li>an assumption</li>", "<li><code>adc-bits</code> 6</li>",
        "2 threads, A processor"})
    EXPECT_NE(page.find(text), page.npos) << text;
  EXPECT_EQ(page.find("{{"), page.npos);
}

TEST(ChipReport, SummaryShowsTheBestSeriesAtTheLargestSigma) {
  const std::string from = "0.8125</span> <span class=\"arrow\">→</span> ";
  ChipReport r = Sample();
  const std::string best =
      "0.625</p><p>at sigma 0.125, paths fitted to each chip; ±&nbsp;0.078</p>";
  EXPECT_NE(ToHtml(r).find(from + best), std::string::npos);
  EXPECT_EQ(CountOf(ToHtml(r), "<tr class=\"kept\"><td class=\"name\">chip<"), 2u);
  r.higher_is_better = false;
  EXPECT_NE(ToHtml(r).find(from + "0.375</p><p>at sigma 0.125, paths fitted to 8 other chips</p>"),
            std::string::npos);
  r.higher_is_better = true;
  r.series[1].points[1].mean = NAN;
  EXPECT_NE(ToHtml(r).find(from + "0.5</p>"), std::string::npos) << "one that was not measured";
}

TEST(ChipReport, ModelWithoutPathsHasOneSeriesWithoutName) {
  ChipReport r = Sample();
  r.series = {{"", "as the file is", {{0.125, 0.5, 0.0625, 0.155, {0.5}}}}};
  const std::string page = ToHtml(r);
  EXPECT_NE(page.find("<p>at sigma 0.125; ±&nbsp;0.15</p>"), page.npos);
  EXPECT_NE(page.find("<tr><td class=\"name\">no paths</td>"), page.npos)
      << "best of one: not marked";
}

TEST(ChipReport, NotANumberIsNullAndADash) {
  ChipReport r = Sample();
  r.integer_engine = r.tops_per_watt = r.peak_memory_bytes = NAN;
  r.series[0].points[0].mean = NAN;
  const auto json = nlohmann::json::parse(ToJson(r));
  EXPECT_TRUE(json["metric"]["integer_engine"].is_null());
  EXPECT_TRUE(json["tops_per_watt"].is_null());
  EXPECT_TRUE(json["peak_memory_bytes"].is_null());
  EXPECT_TRUE(json["series"][0]["points"][0]["mean"].is_null());
  EXPECT_TRUE(json["series"][2]["points"][1]["deviation"].is_null());
  EXPECT_TRUE(json["series"][2]["points"][1]["half_width"].is_null());
  EXPECT_TRUE(json["series"][2]["points"][1]["values"][1].is_null());
  EXPECT_TRUE(json["layers"][1]["noise"].is_null());
  EXPECT_TRUE(json["layers"][1]["left"].is_null());
  const std::string page = ToHtml(r);
  for (const char* text :
       {"<p class=\"big\">–</p>", "Peak memory –",
        "<td class=\"n\">0.375</td><td class=\"n\">–</td><td class=\"n\">–</td></tr>",
        "<td class=\"n\">0</td><td class=\"n\">–</td><td class=\"n\">–</td><td class=\"n\">–</td>"})
    EXPECT_NE(page.find(text), page.npos) << text;
  EXPECT_EQ(page.find("nan"), page.npos);
  EXPECT_EQ(page.find("inf<"), page.npos);
  r.layers[0].noise = 0;
  EXPECT_NE(ToHtml(r).find("<td class=\"n\">1.00%</td><td class=\"n\">–</td>"), page.npos)
      << "no share of no noise";
}

TEST(ChipReport, PageAsksForNothingFromOutside) { ExpectAsksForNothing(ToHtml(Sample())); }

TEST(ChipReport, HostileNamesStayText) {
  ChipReport r = Sample();
  const size_t scripts = CountOf(ToHtml(r), "<script");
  r.model = r.metric = r.cpu = kHostile;
  r.series[1].recovery = r.series[1].meaning = kHostile;
  r.layers[0].node = r.digital[0] = r.energy[0].name = r.assumptions[0] = kHostile;
  r.settings[0] = {kHostile, kHostile};
  r.stages[0].name = kHostile;
  const std::string page = ToHtml(r);
  EXPECT_EQ(CountOf(page, "<script"), scripts);
  EXPECT_EQ(CountOf(page, "</script"), scripts);
  EXPECT_EQ(page.find("<img"), page.npos);
  EXPECT_EQ(CountOf(page, "data-title=\"&lt;/script&gt;"), 1u) << "no way out of an attribute";
  EXPECT_EQ(JsonOf(page)["layers"][0]["node"], kHostile);
}

TEST(ChipReport, EmptyOneStillMakesAPage) {
  const std::string page = ToHtml(ChipReport());
  EXPECT_NE(page.find("no chip was measured"), page.npos);
  EXPECT_NE(page.find("It was not estimated"), page.npos);
  EXPECT_EQ(CountOf(page, "<p>None.</p>"), 3u) << "assumptions, digital products, settings";
  EXPECT_EQ(page.find("nan"), page.npos);
  for (const char* list : {"series", "layers", "digital", "energy", "assumptions", "settings"}) {
    EXPECT_TRUE(JsonOf(page)[list].is_array()) << list;
    EXPECT_TRUE(JsonOf(page)[list].empty()) << list;
  }
  ChipReport r = Sample();
  r.series[0].points.clear();
  EXPECT_NE(ToHtml(r).find("paths fitted to each chip"), std::string::npos);
}

}  // namespace
}  // namespace mezzo
