#include "mezzo/report/bench_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "mezzo/base/error.h"
#include "mezzo/report/page_test.h"

namespace mezzo {
namespace {

BenchReport Sample() {
  BenchReport r;
  r.model = "folder/net.onnx", r.cpu = "A processor";
  r.quantized = true, r.threads = 2, r.runs = 30;
  r.median_ms = 4, r.min_ms = 3.5, r.first_ms = 9, r.load_ms = 12;
  r.peak_memory_bytes = 1e8;
  r.peak = {2e11, 1e11, 2e10, 32 << 20};
  BenchLayer conv{.node = "conv",
                  .op = "QConv",
                  .replaces = {{"dq", "DequantizeLinear"},
                               {"conv", "Conv"},
                               {"relu", "Relu"},
                               {"q", "QuantizeLinear"}},
                  .shape = {1, 8, 7, 7},
                  .type = "uint8",
                  .integer = true,
                  .ms = 3,
                  .macs = 3e8,
                  .bytes = 6e6,
                  .roofline_ms = 1.5};
  BenchLayer fc{.node = "fc",
                .op = "Gemm",
                .replaces = {{"fc", "Gemm"}},
                .shape = {1, 10},
                .type = "float32",
                .ms = 0.996,
                .macs = 1e6,
                .bytes = 4e6,
                .roofline_ms = 0.01};
  BenchLayer small{.node = "softmax",
                   .op = "Softmax",
                   .replaces = {{"softmax", "Softmax"}},
                   .shape = {1, 10},
                   .type = "float32",
                   .ms = 0.004,
                   .bytes = 80,
                   .roofline_ms = NAN};
  r.layers = {small, fc, conv};
  return r;
}

TEST(BenchReport, WhatFollowsFromALayer) {
  const BenchReport r = Sample();
  const BenchLayer& conv = r.layers[2];
  EXPECT_DOUBLE_EQ(conv.operations_per_second(), 2e11);
  EXPECT_DOUBLE_EQ(conv.bytes_per_second(), 2e9);
  EXPECT_DOUBLE_EQ(conv.share_of_roofline(), 0.5);
  EXPECT_TRUE(std::isnan(r.layers[0].operations_per_second()));
  EXPECT_TRUE(std::isnan(r.layers[0].share_of_roofline()));
  const BenchLayer total = Total(r);
  EXPECT_DOUBLE_EQ(total.ms, 4);
  EXPECT_DOUBLE_EQ(total.macs, 3.01e8);
  EXPECT_DOUBLE_EQ(total.bytes, 10000080);
  EXPECT_DOUBLE_EQ(total.roofline_ms, 1.51) << "of those that have one";
  EXPECT_TRUE(std::isnan(Total(BenchReport()).roofline_ms));
}

TEST(BenchReport, FusedNamesTheOperatorsOfTheFile) {
  const BenchReport r = Sample();
  EXPECT_EQ(Fused(r.layers[2]), "Conv + Relu + Q");
  EXPECT_EQ(Fused(r.layers[1]), "") << "itself";
  EXPECT_EQ(Fused({.op = "QMaxPool", .replaces = {{"p", "MaxPool"}}}), "MaxPool");
  EXPECT_EQ(Fused({.op = "QLut", .replaces = {{"d", "DequantizeLinear"}}}), "DequantizeLinear");
}

TEST(BenchReport, RooflineIsTheSlowerOfArithmeticAndMemory) {
  const MachinePeak peak{200, 100, 20, 1000};
  EXPECT_DOUBLE_EQ(RooflineSeconds(peak, true, 400, 10), 2);
  EXPECT_DOUBLE_EQ(RooflineSeconds(peak, false, 400, 10), 4);
  EXPECT_DOUBLE_EQ(RooflineSeconds(peak, true, 400, 1000), 2) << "fits in the cache";
  EXPECT_DOUBLE_EQ(RooflineSeconds(peak, true, 400, 2000), 100);
  EXPECT_DOUBLE_EQ(RooflineSeconds(peak, false, 0, 2000), 100);
  EXPECT_TRUE(std::isnan(RooflineSeconds(peak, false, 0, 1000)));
}

TEST(MachinePeak, IsMeasured) {
  const MachinePeak peak = MeasurePeak(Threads(2));
  EXPECT_GT(peak.int8_macs, 0);
  EXPECT_GT(peak.float_macs, 0);
  EXPECT_GT(peak.read_bytes, 0);
  EXPECT_GT(peak.cache_bytes, 0u);
}

TEST(BenchReport, JsonHoldsEveryNodeInOrder) {
  const auto json = nlohmann::json::parse(ToJson(Sample()));
  EXPECT_EQ(json["model"], "folder/net.onnx");
  EXPECT_EQ(json["median_ms"], 4);
  EXPECT_EQ(json["first_ms"], 9);
  EXPECT_EQ(json["layers_ms"], 4);
  EXPECT_EQ(json["machine"]["int8_macs_per_second"], 2e11);
  EXPECT_EQ(json["machine"]["float_macs_per_second"], 1e11);
  EXPECT_EQ(json["machine"]["read_bytes_per_second"], 2e10);
  EXPECT_EQ(json["machine"]["last_cache_bytes"], 32 << 20);
  ASSERT_EQ(json["layers"].size(), 3u);
  EXPECT_EQ(json["layers"][0]["name"], "softmax");
  EXPECT_EQ(json["layers"][0]["arithmetic"], "");
  EXPECT_TRUE(json["layers"][0]["operations_per_second"].is_null());
  EXPECT_TRUE(json["layers"][0]["share_of_roofline"].is_null());
  EXPECT_EQ(json["layers"][1]["arithmetic"], "float");
  EXPECT_EQ(json["layers"][2], nlohmann::json::parse(R"({
      "name": "conv", "operator": "QConv", "fused": "Conv + Relu + Q",
      "replaces": [{"name": "dq", "operator": "DequantizeLinear"},
                   {"name": "conv", "operator": "Conv"}, {"name": "relu", "operator": "Relu"},
                   {"name": "q", "operator": "QuantizeLinear"}],
      "output_type": "uint8", "output_shape": [1, 8, 7, 7], "arithmetic": "int8", "ms": 3.0,
      "macs": 300000000, "operations_per_second": 2e11, "bytes": 6000000,
      "bytes_per_second": 2e9, "roofline_ms": 1.5, "share_of_roofline": 0.5})"));
  const auto plain = nlohmann::json::parse(ToJson(BenchReport()));
  EXPECT_FALSE(plain.contains("layers"));
  EXPECT_FALSE(plain.contains("machine"));
}

TEST(BenchReport, TextIsSortedAndAddsUp) {
  EXPECT_EQ(
      ToText(Sample()),
      "peak of this machine with 2 threads: 400 GOP/s int8, 200 GOP/s float, 20.0 GB/s from memory "
      "(above 33.6 MB)\n"
      "   ms  % time     MMAC  GOP/s      MB  GB/s  % peak  operator  output   stands for       "
      "node\n"
      "3.000    75.0  300.000  200.0   6.000   2.0    50.0  QConv     1x8x7x7  Conv + Relu + Q  "
      "conv\n"
      "0.996    24.9    1.000    2.0   4.000   4.0     1.0  Gemm      1x10                      "
      "fc\n"
      "0.004     0.1        -      -   0.000   0.0       -  1 other\n"
      "4.000   100.0  301.000  150.5  10.000   2.5    37.8  all\n"
      "the layers' medians add up to 4.000 ms, 100.0% of the median run\n");
  EXPECT_EQ(ToText(BenchReport()), "");
  BenchReport r = Sample();
  for (BenchLayer& l : r.layers) l.replaces = {{l.node, l.op}};
  EXPECT_EQ(ToText(r).find("stands for"), std::string::npos) << "a column without cells";
}

TEST(BenchReport, PageCarriesItsJsonAndSaysTheSameInATable) {
  const BenchReport r = Sample();
  const std::string page = ToHtml(r);
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>"));
  EXPECT_TRUE(page.ends_with("</html>\n"));
  EXPECT_EQ(JsonOf(page), nlohmann::json::parse(ToJson(r)));
  for (const char* text :
       {"<code>net.onnx</code>", "data-chart=\"times\"", "data-chart=\"roofline\"",
        "100.0% of the median run", "301 M multiply-adds; 37.8% of the roofline",
        "2 threads, A processor", "400&nbsp;GOP/s int8",
        "<code>conv</code><br><small>QConv for Conv + Relu + Q</small></td>"
        "<td>uint8[1,8,7,7]</td><td class=\"n\">3</td><td class=\"n\">75.0%</td>",
        "<code>fc</code><br><small>Gemm</small></td>"})
    EXPECT_NE(page.find(text), page.npos) << text;
  EXPECT_EQ(page.find("{{"), page.npos);
  EXPECT_EQ(page.find("nan"), page.npos);
  ExpectAsksForNothing(page);
}

TEST(BenchReport, HostileNamesStayText) {
  BenchReport r = Sample();
  const size_t scripts = CountOf(ToHtml(r), "<script");
  r.model = r.cpu = r.layers[0].node = r.layers[0].op = r.layers[0].type = kHostile;
  r.layers[1].replaces = {{kHostile, kHostile}};
  const std::string page = ToHtml(r);
  EXPECT_EQ(CountOf(page, "<script"), scripts);
  EXPECT_EQ(CountOf(page, "</script"), scripts);
  EXPECT_EQ(page.find("<img"), page.npos);
  EXPECT_EQ(JsonOf(page)["layers"][0]["name"], kHostile);
}

TEST(BenchReport, EmptyOneStillMakesAPage) {
  const std::string page = ToHtml(BenchReport());
  EXPECT_NE(page.find("<table>"), page.npos);
  EXPECT_EQ(page.find("nan"), page.npos);
}

}  // namespace
}  // namespace mezzo
