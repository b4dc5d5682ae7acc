#include "mezzo/report/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "mezzo/base/error.h"
#include "mezzo/report/html.h"
#include "mezzo/report/measure.h"
#include "mezzo/report/page_test.h"

namespace mezzo {
namespace {

Int8Report Sample() {
  Int8Report r;
  r.model = "net.onnx", r.output = "net.int8.onnx";
  r.metric = "classify";
  r.float_metric = 0.75, r.int8_metric = 0.745, r.standard_error = 0.01;
  r.loss = 0.0067, r.tolerance = 0.01, r.within_tolerance = true;
  r.calibration_samples = 64, r.evaluation_samples = 500;
  r.float_bytes = 4e6, r.int8_bytes = 1234567;
  r.float_ms = 12, r.int8_ms = 4, r.threads = 2, r.cpu = "A processor";
  r.total_macs = 1e9, r.int8_macs = 0.96, r.quantized_nodes = 2;
  r.ladder = {{"max", NAN, NAN, NAN, 0.25, 1, false},
              {"float: conv3", 0.745, 0.0067, 0.003, 0.125, 0.96, true}};
  r.layers = {{"x", "", "", "", 0, 200, 1, 0},
              {"y", "conv1", "Conv", "int8", 0.5, 31.5, 0.999, 0.1}};
  ReportActivation a;
  a.value = "y", a.used = true, a.sqnr_db = 31.5, a.grid_sqnr_db = NAN;
  a.lo = -1, a.hi = 2, a.scale = 3.0 / 255, a.zero_point = 85, a.calibration = "mse";
  a.min = -1.5, a.max = 2.5, a.clipped = 0.001;
  a.histogram = {-2, 1, {1, 0, 5, 2}};
  r.activations = {a};
  r.floats = {{"conv3", "Conv", "partial quantization", 0.04}};
  r.notes = {"a note"};
  r.worst = {{"cat.jpg", 0.9, 0.2, 12.5}};
  r.stages = {{"calibrating", 1.5}};
  r.peak_memory_bytes = 1e8;
  return r;
}

TEST(Report, JsonHoldsEveryFigure) {
  const auto json = nlohmann::ordered_json::parse(ToJson(Sample()));
  EXPECT_EQ(json["mezzo_report"], 1);
  EXPECT_EQ(json["metric"]["int8"], 0.745);
  EXPECT_EQ(json["metric"]["within_tolerance"], true);
  EXPECT_EQ(json["bytes"]["int8"], 1234567);
  EXPECT_EQ(json["latency_ms"]["float"], 12);
  EXPECT_EQ(json["latency_ms"]["cpu"], "A processor");
  EXPECT_EQ(json["macs"]["int8"], 0.96);
  EXPECT_EQ(json["ladder"].size(), 2);
  EXPECT_TRUE(json["ladder"][0]["loss"].is_null()) << "NaN is null";
  EXPECT_EQ(json["ladder"][1]["tried"], "float: conv3");
  const auto summary = nlohmann::ordered_json::parse(ToSummaryJson(Sample()));
  EXPECT_FALSE(summary.contains("layers"));
  for (const auto& [name, value] : summary.items()) EXPECT_EQ(value, json[name]) << name;
  EXPECT_TRUE(json["layers"][0]["precision"].is_null());
  EXPECT_EQ(json["layers"][1]["sqnr_db"], 31.5);
  EXPECT_EQ(json["activations"][0]["histogram"]["counts"], (std::vector<uint64_t>{1, 0, 5, 2}));
  EXPECT_TRUE(json["activations"][0]["grid_sqnr_db"].is_null());
  EXPECT_EQ(json["float_nodes"][0]["reason"], "partial quantization");
  EXPECT_EQ(json["worst_samples"][0]["name"], "cat.jpg");
  EXPECT_EQ(json["stages"][0]["seconds"], 1.5);
}

TEST(Report, PageCarriesItsJsonAndSaysTheSameInTables) {
  const Int8Report r = Sample();
  const std::string page = ToHtml(r);
  EXPECT_EQ(JsonOf(page), nlohmann::json::parse(ToJson(r)));
  for (const char* section :
       {"ladder", "layers", "activations", "floats", "notes", "worst", "stages"})
    EXPECT_NE(page.find(Cat("<section id=\"", section, "\">")), page.npos) << section;
  EXPECT_EQ(CountOf(page, "<table>"), 6u);
  for (const char* cell :
       {"<td class=\"n\">31.5</td>", "<code>conv3</code>", "partial quantization",
        "<code>cat.jpg</code>", "<li>a note</li>", "4× smaller", "3× faster"})
    EXPECT_NE(page.find(cell), page.npos) << cell;
  EXPECT_EQ(page.find("{{"), page.npos);
}

TEST(Report, PageAsksForNothingFromOutside) { ExpectAsksForNothing(ToHtml(Sample())); }

TEST(Report, HostileNamesStayText) {
  Int8Report r = Sample();
  const size_t scripts = CountOf(ToHtml(r), "<script");
  r.model = r.output = r.metric = r.cpu = kHostile;
  r.ladder[0].tried = r.layers[1].value = r.layers[1].node = r.layers[1].op = kHostile;
  r.activations[0].value = r.activations[0].calibration = kHostile;
  r.floats[0] = {kHostile, kHostile, kHostile, 0};
  r.notes[0] = r.worst[0].name = r.stages[0].name = kHostile;
  const std::string page = ToHtml(r);
  EXPECT_EQ(CountOf(page, "<script"), scripts);
  EXPECT_EQ(CountOf(page, "</script"), scripts);
  EXPECT_EQ(page.find("<img"), page.npos);
  EXPECT_EQ(JsonOf(page)["layers"][1]["value"], kHostile);
}

TEST(Report, NamesThatLookLikeHolesOrAreNotUtf8DoNoHarm) {
  Int8Report r = Sample();
  r.model = "{{json}}";
  r.notes = {"\xff<b>"};
  EXPECT_EQ(nlohmann::json::parse(ToJson(r))["notes"][0], "\xef\xbf\xbd<b>");
  const std::string page = ToHtml(r);
  EXPECT_NE(page.find("<title>{{json}} in INT8</title>"), page.npos);
  EXPECT_EQ(page.find("<b>"), page.npos);
}

TEST(Report, EmptyOneStillMakesAPage) {
  const std::string page = ToHtml(Int8Report());
  EXPECT_NE(page.find("every layer that computes runs in int8"), page.npos);
  EXPECT_EQ(page.find("nan"), page.npos);
}

TEST(Shrink, KeepsEveryCountAndWhereItLies) {
  Histogram h;
  const std::vector<float> values{-0.5f, 0.25f, 0.25f, 0, 3.9f};  // the range is [-4, 4]
  h.Add(values);
  const ReportHistogram s = Shrink(h, 128);
  ASSERT_LE(s.counts.size(), 128u);
  uint64_t sum = 0;
  for (const uint64_t n : s.counts) sum += n;
  EXPECT_EQ(sum, 4u) << "zeros lie in no bin";
  const auto bin = [&](double v) {
    return s.counts.at(static_cast<size_t>((v - s.start) / s.width));
  };
  EXPECT_EQ(s.counts.front(), 1u);
  EXPECT_EQ(bin(0.25 - 1e-6), 2u);
  EXPECT_EQ(s.counts.back(), 1u);
  EXPECT_NEAR(s.start, -0.5, h.bin_width());
  EXPECT_TRUE(Shrink(Histogram(), 128).counts.empty());
}

// A network of one Conv in int8 and one in float.
Int8Result SmallResult() {
  Int8Result r;
  Graph& g = r.prepared.graph;
  g.inputs = {{"x", DType::kFloat32, {1, 1, 4, 4}, {}, true}};
  g.outputs = {{"z", DType::kFloat32, {1, 1, 4, 4}, {}, true}};
  g.nodes = {{"Conv", "", "first", {"x", "w"}, {"y"}, {}},
             {"Conv", "", "second", {"y", "w"}, {"z"}, {}}};
  g.initializers["w"] = Tensor(DType::kFloat32, {1, 1, 1, 1});
  r.plan.nodes["first"].quantized = true;
  r.plan.nodes["second"].reason = "excluded by the user";
  r.plan.metric_name = "sqnr";
  r.macs = {{"first", 300}, {"second", 100}};
  const std::vector<float> values{-1, 0, 0.5f, 4};
  for (const char* name : {"x", "y"}) {
    r.histograms[name].Add(values);
    r.plan.activations[name] = {{3.0f / 255, 85}, -1, 2, false, "percentile:99.9"};
  }
  return r;
}

TEST(MakeReport, JoinsThePlanWithWhatWasMeasured) {
  ReportMeasurements m;
  m.model = "/some/where/net.onnx";
  m.layers.layers = {{"x", 40, 1, 0}, {"y", 20, 0.99, 1}, {"z", 25, 0.99, 1}};
  m.layers.samples = {{"b", 10}, {"a", 30}, {"c", 20}};
  m.float_evaluation.scores = {{"a", 1}, {"b", 1}, {"c", 1}};
  m.int8_evaluation.scores = {{"a", 0}, {"b", 1}, {"c", 1}};
  const Int8Report r = MakeReport(SmallResult(), m);
  EXPECT_EQ(r.model, "net.onnx");
  EXPECT_EQ(r.int8_macs, 0.75);
  EXPECT_EQ(r.quantized_nodes, 1);
  ASSERT_EQ(r.layers.size(), 3u);
  EXPECT_EQ(r.layers[0].precision, "");
  EXPECT_EQ(r.layers[1].precision, "int8");
  EXPECT_EQ(r.layers[1].macs, 0.75);
  EXPECT_EQ(r.layers[2].precision, "float");
  ASSERT_EQ(r.floats.size(), 1u);
  EXPECT_EQ(r.floats[0].reason, "excluded by the user");
  ASSERT_EQ(r.worst.size(), 3u);
  EXPECT_EQ(r.worst[0].name, "a") << "lost its score";
  EXPECT_EQ(r.worst[1].name, "b") << "then by SQNR";
  ASSERT_EQ(r.activations.size(), 2u);
  for (const ReportActivation& a : r.activations) {
    EXPECT_EQ(a.clipped, 0.25) << "the 4 of the four values";
    EXPECT_EQ(a.zeros, 0.25);
  }
}

// The prepared graph keeps Conv and Relu apart; the integers make them one.
TEST(MakeReport, AValueAfterAFusedReluBelongsToItsConv) {
  Int8Result result = SmallResult();
  Graph& g = result.prepared.graph;
  g.nodes[0].outputs = {"c"};
  g.nodes.insert(g.nodes.begin() + 1, {"Relu", "", "relu", {"c"}, {"y"}, {}});
  ReportMeasurements m;
  m.layers.layers = {{"y", 20, 0.99, 1}};
  const ReportLayer fused = MakeReport(result, m).layers.at(0);
  EXPECT_EQ(fused.node, "first");
  EXPECT_EQ(fused.op, "Conv, Relu");
  EXPECT_EQ(fused.precision, "int8");
  EXPECT_EQ(fused.macs, 0.75);
  m.layers.layers.insert(m.layers.layers.begin(), {"c", 30, 1, 0});
  EXPECT_EQ(MakeReport(result, m).layers.at(1).node, "relu") << "c speaks for the Conv";
}

TEST(StageClock, AddsUpStagesOfTheSameName) {
  StageClock clock;
  EXPECT_TRUE(clock.Stages().empty());
  for (const char* name : {"read", "measure", "read"}) clock.Begin(name);
  const auto stages = clock.Stages();
  ASSERT_EQ(stages.size(), 2u);
  EXPECT_EQ(stages[0].name, "read");
  EXPECT_EQ(stages[1].name, "measure");
  EXPECT_GE(stages[0].seconds, 0);
}

TEST(Html, FormatsForPeople) {
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(18.64e6), "18.6 MB");
  EXPECT_EQ(FormatCount(4652000), "4.65 M");
  EXPECT_EQ(FormatPercent(0.00421), "0.42%");
  EXPECT_EQ(FormatPercent(0.000001), "0.0001%") << "something is not nothing";
  EXPECT_EQ(FormatPercent(0), "0%");
  EXPECT_EQ(FormatPercent(-1e-16), "0%") << "noise of a subtraction";
  EXPECT_EQ(FormatPercent(0.99999, 1), ">99.9%") << "nor is most of it all";
  EXPECT_EQ(FormatPercent(1, 1), "100.0%");
  EXPECT_EQ(FormatNumber(NAN), "–");
  EXPECT_EQ(FormatMilliseconds(0.25), "250 µs");
  EXPECT_EQ(FormatSeconds(3661), "61 min 1 s");
  EXPECT_THROW(HtmlTable({{"one"}}).Row({"a", "b"}), UsageError);
}

}  // namespace
}  // namespace mezzo
