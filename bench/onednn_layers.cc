// Times oneDNN's u8 s8 convolutions against mezzo's, layer by layer and in turn, on one thread, and
// counts the codes in which they differ. Built and run by onednn_layers.py.
#include <dnnl.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "mezzo/kernels/qconv/qconv.h"

using namespace mezzo;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

namespace {

struct Layer {
  const char* name;
  size_t size, in_c, out_c, kernel, stride, groups;
};
constexpr Layer kLayers[] = {{"stem 7x7", 224, 3, 64, 7, 2, 1},
                             {"stem 3x3", 224, 3, 32, 3, 2, 1},
                             {"1x1", 56, 64, 256, 1, 1, 1},
                             {"1x1", 28, 512, 128, 1, 1, 1},
                             {"1x1", 14, 1024, 256, 1, 1, 1},
                             {"1x1", 7, 512, 2048, 1, 1, 1},
                             {"1x1, little depth", 112, 16, 96, 1, 1, 1},
                             {"1x1, few columns", 112, 32, 16, 1, 1, 1},
                             {"3x3", 56, 64, 64, 3, 1, 1},
                             {"3x3", 28, 128, 128, 3, 1, 1},
                             {"3x3", 14, 256, 256, 3, 1, 1},
                             {"3x3", 7, 512, 512, 3, 1, 1},
                             {"3x3 stride 2", 56, 128, 128, 3, 2, 1},
                             {"depthwise 3x3", 112, 32, 32, 3, 1, 32},
                             {"depthwise 3x3 stride 2", 112, 96, 96, 3, 2, 96},
                             {"depthwise 5x5", 28, 240, 240, 5, 1, 240},
                             {"depthwise 5x5", 14, 672, 672, 5, 1, 672}};

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class F>
double Time(const F& f) {
  const double start = Seconds();
  f();
  return Seconds() - start;
}

// As one runs them: activations channels last, weights in what order oneDNN likes.
class OneDnn {
 public:
  OneDnn(const QConvShape& s, std::vector<uint8_t>& x, std::vector<int8_t>& w,
         std::vector<float>& scale, std::vector<uint8_t>& y)
      : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    const auto n = [](size_t v) { return static_cast<dnnl::memory::dim>(v); };
    const dnnl::memory::dims weights =
        s.groups == 1
            ? dnnl::memory::dims{n(s.out_c), n(s.in_c), n(s.kernel_h), n(s.kernel_w)}
            : dnnl::memory::dims{n(s.groups), 1, 1, n(s.kernel_h), n(s.kernel_w)};
    const dnnl::memory::desc x_md({1, n(s.in_c), n(s.in_h), n(s.in_w)}, Type::u8, Tag::nhwc),
        w_md(weights, Type::s8, Tag::any),
        own_md(weights, Type::s8, s.groups == 1 ? Tag::oihw : Tag::goihw),
        y_md({1, n(s.out_c), n(s.out_h), n(s.out_w)}, Type::u8, Tag::nhwc);
    dnnl::primitive_attr attr;
    attr.set_scales_mask(DNNL_ARG_WEIGHTS, s.groups == 1 ? 1 : 3);
    const auto pad = [](size_t out, size_t stride, size_t kernel, size_t in, size_t before) {
      return static_cast<dnnl::memory::dim>((out - 1) * stride + kernel) -
             static_cast<dnnl::memory::dim>(in + before);
    };
    const dnnl::convolution_forward::primitive_desc pd(
        engine_, dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, x_md, w_md,
        y_md, {n(s.stride_h), n(s.stride_w)}, {n(s.pad_top), n(s.pad_left)},
        {pad(s.out_h, s.stride_h, s.kernel_h, s.in_h, s.pad_top),
         pad(s.out_w, s.stride_w, s.kernel_w, s.in_w, s.pad_left)},
        attr);
    implementation_ = pd.impl_info_str();
    conv_ = dnnl::convolution_forward(pd);
    dnnl::memory own(own_md, engine_, w.data()), packed(pd.weights_desc(), engine_);
    dnnl::reorder(own, packed).execute(stream_, own, packed);
    stream_.wait();
    args_ = {{DNNL_ARG_SRC, dnnl::memory(x_md, engine_, x.data())},
             {DNNL_ARG_WEIGHTS, packed},
             {DNNL_ARG_DST, dnnl::memory(y_md, engine_, y.data())},
             {DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS,
              dnnl::memory({{n(s.out_c)}, Type::f32, Tag::x}, engine_, scale.data())}};
  }
  void Run() {
    conv_.execute(stream_, args_);
    stream_.wait();
  }
  const std::string& implementation() const { return implementation_; }

 private:
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::convolution_forward conv_;
  std::unordered_map<int, dnnl::memory> args_;
  std::string implementation_;
};

void Compare(const Layer& l, int rounds) {
  QConvShape s;
  s.in_h = s.in_w = l.size, s.in_c = l.in_c, s.out_c = l.out_c, s.groups = l.groups;
  s.kernel_h = s.kernel_w = l.kernel, s.stride_h = s.stride_w = l.stride;
  s.pad_top = s.pad_left = l.kernel / 2;
  s.out_h = s.out_w = (l.size - 1) / l.stride + 1;
  std::mt19937 rng(1);
  std::vector<uint8_t> x(s.in_h * s.in_w * s.in_c), y(s.out_h * s.out_w * s.out_c), other(y.size());
  std::vector<int8_t> w(s.out_c * s.group_in() * s.taps());
  for (uint8_t& v : x) v = static_cast<uint8_t>(rng());
  for (int8_t& v : w) v = static_cast<int8_t>(rng());
  const float depth = static_cast<float>(s.group_in() * s.taps());
  std::vector<float> scale(s.out_c);
  for (float& v : scale) v = (1 + static_cast<float>(rng() % 100) / 100) / std::sqrt(depth) / 100;
  const QConvWeights packed = QConvWeights::Pack({w.data(), true}, s);
  const QOutput out = MakeQOutput({QOutput::Kind::kUInt8, scale, {}, {}, 0, 0, 255}, s.out_c);
  OneDnn peer(s, x, w, scale, other);
  double own = 1e9, theirs = 1e9;
  for (int i = 0; i < rounds; ++i) {
    own = std::min(own, Time([&] { QConv({s, {x.data()}, 0, y.data()}, packed, out, {}); }));
    theirs = std::min(theirs, Time([&] { peer.Run(); }));
  }
  size_t differ = 0;
  int most = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    differ += y[i] != other[i];
    most = std::max(most, std::abs(y[i] - other[i]));
  }
  const double operations =
      2e-9 * static_cast<double>(s.out_h * s.out_w * s.out_c * s.group_in() * s.taps());
  std::printf("| %s | %zux%zux%zu to %zu | %.0f | %.0f | %.2f | %zu, by %d | %s |\n", l.name, l.size,
              l.size, l.in_c, l.out_c, operations / own, operations / theirs, own / theirs, differ,
              most, peer.implementation().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 200;
  std::printf("| layer | shape | mezzo GOP/s | oneDNN GOP/s | time, mezzo / oneDNN | codes that differ | "
              "oneDNN's implementation |\n|---|---|---|---|---|---|---|\n");
  for (const Layer& l : kLayers) Compare(l, rounds);
}
