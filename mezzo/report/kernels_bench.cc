// Times every kernel on shapes of real networks, with each instruction set that the machine has:
//
//   mezzo_kernels_bench [--benchmark_filter=REGEX] [--benchmark_min_time=SECONDS] ...
//
// One thread and its processor time, data as warm as it stays. GOP/s: a multiply-add is two
// operations; where there are none, an element of the result is one, or of a pool's window. GB/s:
// every operand and result once. peak%: how close that is to what arithmetic and memory allow here
// (RooflineSeconds), left out where neither bounds.
#include <benchmark/benchmark.h>

#include <cmath>
#include <ctime>
#include <functional>
#include <map>
#include <random>

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/attention/kv_cache.h"
#include "mezzo/kernels/cim/cim.h"
#include "mezzo/kernels/group_gemm/group_gemm.h"
#include "mezzo/kernels/qconv/qconv.h"
#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/kernels/qgemm/quads.h"
#include "mezzo/kernels/qpool/qpool.h"
#include "mezzo/kernels/row_gemm/row_gemm.h"
#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/report/machine_peak.h"

namespace mezzo {
namespace {

enum class Unit { kIntegers, kFloats, kElements };  // what is counted: the first two multiply-adds

struct Job {
  Unit unit;
  double count, bytes;  // of a call
  std::function<void()> run;
};

void Run(benchmark::State& state, Isa isa, const std::function<Job()>& make) {
  static std::map<Isa, MachinePeak> peaks;
  const ScopedIsa scoped(isa);
  if (!peaks.contains(isa)) peaks[isa] = MeasurePeak({});
  const Job job = make();
  job.run();
  const std::clock_t begin = std::clock();
  for (auto _ : state) job.run();
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC /
                         static_cast<double>(state.iterations());
  const double macs = job.unit == Unit::kElements ? 0 : job.count;
  const double least = RooflineSeconds(peaks[isa], job.unit == Unit::kIntegers, macs, job.bytes);
  state.counters["GOP/s"] = (job.count + macs) / seconds / 1e9;
  state.counters["GB/s"] = job.bytes / seconds / 1e9;
  if (!std::isnan(least)) state.counters["peak%"] = 100 * least / seconds;
}

// With every set from `least` on: kernels of floats have no plain form behind the same call.
void Add(const std::string& name, const std::function<Job()>& make, Isa least = Isa::kPlain) {
  for (const Isa isa : SupportedIsas())
    if (isa >= least)
      benchmark::RegisterBenchmark((name + "/" + std::string(Name(isa))).c_str(),
                                   [=](benchmark::State& state) { Run(state, isa, make); })
          ->Unit(benchmark::kMicrosecond);
}

double Size(size_t n) { return static_cast<double>(n); }
double Size(int64_t n) { return static_cast<double>(n); }

template <class T>
std::vector<T> Random(size_t n) {
  std::mt19937 random(1);
  std::vector<T> values(n);
  for (T& v : values) {
    if constexpr (std::is_same_v<T, float>)
      v = static_cast<float>(random() % 2001) / 1000 - 1;
    else
      v = static_cast<T>(random());
  }
  return values;
}

// Sums of `depth` products, to uint8 codes that are not all cut off.
QOutput Codes(size_t depth, size_t cols) {
  const std::vector<float> scale(cols, 0.01f / std::sqrt(static_cast<float>(depth)));
  const std::vector<int32_t> bias(cols, 1);
  return MakeQOutput(
      {.kind = QOutput::Kind::kUInt8, .scale = scale, .bias = bias, .zero_point = 128}, cols);
}

Job ProductOfCodes(size_t rows, size_t depth, size_t cols, bool constant) {
  const auto x = Random<uint8_t>(rows * depth);
  const auto w = Random<int8_t>(depth * cols);
  const QCodes codes{w.data(), true};
  const QOutput out = Codes(depth, cols);
  std::vector<uint8_t> y(rows * cols);
  const auto args = [=](auto& to) {
    return QGemmArgs{{x.data()}, rows, depth, 128, to.data(), cols};
  };
  const double macs = Size(rows * depth * cols);
  const double bytes = Size(rows * depth + depth * cols + rows * cols);
  if (constant)
    return {Unit::kIntegers, macs, bytes,
            [=, q = QQuads::Pack(codes, depth, cols, cols, 1, {}, depth)]() mutable {
              QGemm(args(y), q, out, {});
            }};
  return {Unit::kIntegers, macs, bytes,
          [=, q = QWeights::Pack(codes, depth, cols, cols, 1)]() mutable {
            QGemm(args(y), q, out, {});
          }};
}

struct Window {
  size_t in, in_c, out_c, kernel, stride, groups;
};
QConvShape ShapeOf(const Window& w) {
  QConvShape s;
  s.in_h = s.in_w = w.in;
  s.in_c = w.in_c, s.out_c = w.out_c, s.groups = w.groups;
  s.kernel_h = s.kernel_w = w.kernel;
  s.stride_h = s.stride_w = w.stride;
  s.pad_top = s.pad_left = w.kernel / 2;
  s.out_h = s.out_w = (w.in - 1) / w.stride + 1;
  return s;
}

Job Convolution(const Window& window) {
  const QConvShape s = ShapeOf(window);
  const size_t depth = s.group_in() * s.taps(), pixels = s.out_h * s.out_w;
  const auto x = Random<uint8_t>(s.in_h * s.in_w * s.in_c);
  const auto w = Random<int8_t>(s.out_c * depth);
  std::vector<uint8_t> y(pixels * s.out_c);
  return {Unit::kIntegers, Size(pixels * s.out_c * depth), Size(x.size() + w.size() + y.size()),
          [=, q = QConvWeights::Pack({w.data(), true}, s), out = Codes(depth, s.out_c)]() mutable {
            QConv({s, {x.data()}, 128, y.data()}, q, out, {});
          }};
}

Job Pool(const Window& window, bool average) {
  QConvShape s = ShapeOf(window);
  if (average) s.pad_top = s.pad_left = 0, s.out_h = s.out_w = 1;
  const auto x = Random<uint8_t>(s.in_h * s.in_w * s.in_c);
  std::vector<uint8_t> y(s.out_h * s.out_w * s.out_c);
  return {Unit::kElements, Size(y.size() * s.taps()), Size(x.size() + y.size()), [=]() mutable {
            QPoolArgs args{s, {x.data()}, y.data()};
            average ? QAveragePool(args, {}, {}) : QMaxPool(args, {});
          }};
}

// f(x, y) makes n elements of `operands` arrays, which lie at x one behind the other.
template <class From, class To, class F>
Job Elements(size_t n, size_t operands, F f) {
  std::vector<To> y(n);
  return {Unit::kElements, Size(n), Size(n * (operands * sizeof(From) + sizeof(To))),
          [=, x = Random<From>(n * operands)]() mutable { f(x.data(), y.data()); }};
}

Job FourBits(int64_t tokens, int64_t depth, int64_t rows, bool floats) {
  GroupCodes codes;
  codes.rows = rows, codes.cols = depth;
  codes.codes = Random<uint8_t>(static_cast<size_t>(rows * depth));
  for (uint8_t& code : codes.codes) code &= 15;
  codes.scales.assign(static_cast<size_t>(rows * codes.groups()), 0.03125f);
  const PackedGroups w(codes);
  const auto x = Random<float>(static_cast<size_t>(tokens * depth));
  GroupActivations a;
  a.Round(x.data(), depth, tokens, depth, 64, 64, {});
  const double codes_bytes = floats ? 4 : 1;
  std::vector<float> y(static_cast<size_t>(tokens * rows));
  return {floats ? Unit::kFloats : Unit::kIntegers, Size(tokens * depth * rows),
          Size(w.bytes()) + codes_bytes * Size(tokens * depth) + 4 * Size(tokens * rows),
          [=]() mutable {
            const GroupProduct product{&w, y.data(), rows};
            floats ? GroupGemmFloat(x.data(), depth, tokens, {&product, 1}, {})
                   : GroupGemm(a, {&product, 1}, {});
          }};
}

Job Head(int64_t tokens, int64_t depth, int64_t rows) {
  const PackedRows w({rows, depth, Random<int8_t>(static_cast<size_t>(rows * depth)),
                      std::vector<float>(static_cast<size_t>(rows), 0.01f)});
  std::vector<float> y(static_cast<size_t>(tokens * rows));
  return {Unit::kIntegers, Size(tokens * depth * rows),
          Size(w.bytes()) + 4 * Size(tokens * (depth + rows)),
          [=, x = Random<float>(static_cast<size_t>(tokens * depth))]() mutable {
            RowGemm(x.data(), depth, tokens, w, y.data(), rows, {});
          }};
}

Job FloatProduct(int64_t m, int64_t k, int64_t n) {
  const auto w = Random<float>(static_cast<size_t>(k * n));
  const PackedB b(w.data(), k, n, n, 1, {});
  std::vector<float> y(static_cast<size_t>(m * n));
  return {Unit::kFloats, Size(m * k * n), 4 * Size(m * k + k * n + m * n),
          [=, x = Random<float>(static_cast<size_t>(m * k))]() mutable {
            Sgemm(x.data(), k, m, b, y.data(), n, {}, {});
          }};
}

// The last `tokens` of `positions`, with SmolLM2-135M's heads.
Job Attention(int64_t positions, int64_t tokens, KvFormat format) {
  const AttentionShape s{9, 3, 64};
  KvCache cache(s, positions, format);
  const auto kv = Random<float>(static_cast<size_t>(s.kv_heads * s.head_size));
  for (int64_t p = 0; p < positions; ++p) cache.Store(p, kv.data(), kv.data());
  const int64_t row = s.heads * s.head_size, first = positions - tokens;
  std::vector<float> y(static_cast<size_t>(tokens * row));
  const int64_t seen = tokens * first + tokens * (tokens + 1) / 2;  // positions, of all tokens
  return {Unit::kFloats, Size(2 * seen * row),
          Size(positions * KvCache::BytesPerPosition(s, format)) + 8 * Size(tokens * row),
          [=, q = Random<float>(static_cast<size_t>(tokens * row))]() mutable {
            cache.Attend(q.data(), row, first, tokens, y.data(), row, {});
          }};
}

Job Cells(size_t rows, size_t depth, size_t cols, const CimOptions& options) {
  CimWeights w{depth, cols, {}};
  for (const int8_t v : Random<int8_t>(depth * cols)) w.values.push_back(v);
  std::vector<int32_t> y(rows * cols);
  return {Unit::kIntegers, Size(rows * depth * cols),
          Size(rows * depth + depth * cols + 4 * y.size()),
          [=, array = CimArray(w, options, 1), x = Random<uint8_t>(rows * depth)]() mutable {
            CimGemm({{x.data()}, rows, depth, 128}, array, y.data());
          }};
}

void AddProducts() {
  // ResNet-50 at 224 x 224 and EfficientNet-Lite0, a picture; MiniLM-L6, 128 tokens.
  const std::pair<const char*, Window> convolutions[] = {
      {"resnet50_7x7_3_64", {224, 3, 64, 7, 2, 1}},
      {"resnet50_1x1_256_64", {56, 256, 64, 1, 1, 1}},
      {"resnet50_3x3_64_64", {56, 64, 64, 3, 1, 1}},
      {"resnet50_3x3_512_512", {7, 512, 512, 3, 1, 1}},
      {"lite0_depthwise_3x3_32", {112, 32, 32, 3, 1, 32}},
      {"lite0_depthwise_5x5_480", {14, 480, 480, 5, 1, 480}},
  };
  for (const auto& [name, window] : convolutions)
    Add(std::string("qconv/") + name, [w = window] { return Convolution(w); });
  Add("qgemm/minilm_384_1536", [] { return ProductOfCodes(128, 384, 1536, true); });
  Add("qgemm/resnet50_2048_1000", [] { return ProductOfCodes(1, 2048, 1000, true); });
  Add("qgemm/minilm_scores_varying", [] { return ProductOfCodes(128, 32, 128, false); });
  Add(
      "sgemm/minilm_384_1536", [] { return FloatProduct(128, 384, 1536); }, Isa::kAvx2);
  // SmolLM2-135M: one token, and a prompt.
  for (const int64_t tokens : {1, 128}) {
    const std::string what = tokens == 1 ? "decode" : "prefill";
    Add("group_gemm/smollm2_576_1536_" + what, [=] { return FourBits(tokens, 576, 1536, false); });
    Add(
        "group_gemm/smollm2_floats_" + what, [=] { return FourBits(tokens, 576, 1536, true); },
        Isa::kAvx2);
    for (const auto& [name, format] : {std::pair{"float_", KvFormat::kFloat},
                                       {"int8_", KvFormat::kInt8},
                                       {"fp8_", KvFormat::kFp8}})
      Add(
          std::string("attention/smollm2_512_") + name + what,
          [=, f = format] { return Attention(512, tokens, f); }, Isa::kAvx2);
  }
  Add("row_gemm/smollm2_head_576_49152", [] { return Head(1, 576, 49152); });
  Add("cim/ideal_cells_adc8", [] { return Cells(16, 256, 64, {.rows = 128, .adc_bits = 8}); });
  Add("cim/analog_cells_adc8",
      [] { return Cells(16, 256, 64, {.rows = 128, .adc_bits = 8, .sigma = 0.1f}); });
  Add("cim/analog_cells_ideal_adc",
      [] { return Cells(16, 256, 64, {.rows = 128, .sigma = 0.1f}); });
}

void AddElementwise() {
  constexpr size_t kBlock = 56 * 56 * 256;  // what a residual of ResNet-50 adds
  for (const bool multiply : {false, true})
    Add(multiply ? "qelementwise/mul" : "qelementwise/add", [=] {
      const QBinaryParams params{multiply, 0.01f, 0.5f, 128, 128, 128};
      return Elements<uint8_t, uint8_t>(kBlock, 2, [=](const uint8_t* x, uint8_t* y) {
        QBinary({{x}, {x + kBlock}, 1, 1, y, kBlock}, params);
      });
    });
  Add("qelementwise/table", [] {
    return Elements<uint8_t, uint8_t>(
        kBlock, 1, [table = QTable{}](const uint8_t* x, uint8_t* y) { QLut(x, table, y, kBlock); });
  });
  Add("qelementwise/table_per_channel", [] {
    return Elements<uint8_t, uint8_t>(
        kBlock, 1, [t = std::vector<uint8_t>(256 * 256)](const uint8_t* x, uint8_t* y) {
          QLutChannels(x, t.data(), 256, y, kBlock / 256);
        });
  });
  Add("qelementwise/quantize", [] {
    return Elements<float, uint8_t>(kBlock, 1, [](const float* x, uint8_t* y) {
      Quantize(x, {0.01f, 128}, y, kBlock);
    });
  });
  Add("qelementwise/dequantize", [] {
    return Elements<uint8_t, float>(kBlock, 1, [](const uint8_t* x, float* y) {
      Dequantize(x, {0.01f, 128}, y, kBlock);
    });
  });
  Add("qpool/resnet50_max_3x3", [] { return Pool({112, 64, 64, 3, 2, 1}, false); });
  Add("qpool/resnet50_average_7x7", [] { return Pool({7, 2048, 2048, 7, 1, 1}, true); });
}

void AddFunctions() {
  const auto add = [](const char* name, size_t rows, size_t cols, size_t operands, auto row) {
    Add(
        std::string("vmath/") + name,
        [=] {
          return Elements<float, float>(rows * cols, operands, [=](const float* x, float* y) {
            for (size_t r = 0; r < rows; ++r) row(x + r * cols, y + r * cols, cols);
          });
        },
        Isa::kAvx2);
  };
  add("minilm_gelu", 128, 1536, 1, [](const float* x, float* y, size_t n) {
    using Kind = vmath::Step::Kind;
    constexpr uint8_t kConstant = vmath::Step::kConstant;
    const vmath::Step gelu[] = {{Kind::kDiv, 0, kConstant, 1.4142135f},
                                {Kind::kErf, 1},
                                {Kind::kAdd, 2, kConstant, 1},
                                {Kind::kMul, 0, 3},
                                {Kind::kMul, 4, kConstant, 0.5f}};
    vmath::RunSteps(gelu, x, y, n);
  });
  add("minilm_softmax", 12 * 128, 128, 1,
      [](const float* x, float* y, size_t n) { vmath::SoftmaxRow(x, y, n); });
  add("minilm_layer_norm", 128, 384, 1, [](const float* x, float* y, size_t n) {
    const vmath::Moments m = vmath::MomentsOf(x, n);
    vmath::Normalize(x, static_cast<float>(m.mean), static_cast<float>(1 / std::sqrt(m.variance)),
                     nullptr, nullptr, y, n);
  });
  add("smollm2_silu", 1, 128 * 1536, 2,
      [](const float* x, float* y, size_t n) { vmath::SiluTimes(x, x + n, y, n); });
}

}  // namespace
}  // namespace mezzo

int main(int argc, char** argv) {
  mezzo::AddProducts();
  mezzo::AddElementwise();
  mezzo::AddFunctions();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
