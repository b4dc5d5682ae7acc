// Window functions, Fourier transforms, the mel filter bank. Computed in double.
#include <cmath>
#include <complex>

#include "mezzo/runtime/ops/generate.h"
#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {
namespace {

using Complex = std::complex<double>;

// a0 - a1 cos(2 pi i / N) + a2 cos(4 pi i / N), with N the size, or one less if not periodic.
void Window(OpContext& ctx, double a0, double a1, double a2) {
  const int64_t size = ToInts(ctx.Plain(0)).at(0);
  Require(size >= 0, "the size is ", size);
  const int64_t period = size - (ctx.node.Int("periodic", 1) ? 0 : 1);
  Tensor w(DType::kFloat64, {size});
  for (int64_t i = 0; i < size; ++i) {
    const double t =
        2 * M_PI * static_cast<double>(i) / static_cast<double>(std::max<int64_t>(1, period));
    w.data<double>()[i] = a0 - a1 * std::cos(t) + a2 * std::cos(2 * t);
  }
  ctx.out[0] = Cast(w, static_cast<DType>(ctx.node.Int("output_datatype", 1)));
}
void HannWindow(OpContext& ctx) { Window(ctx, 0.5, 0.5, 0); }
void HammingWindow(OpContext& ctx) { Window(ctx, 25.0 / 46, 21.0 / 46, 0); }
void BlackmanWindow(OpContext& ctx) { Window(ctx, 0.42, 0.5, 0.08); }

// The sum over i of x[i * stride] e^(sign 2 pi sqrt(-1) i k / n), for k below n: halves even
// lengths, sums odd ones directly.
void Fourier(const Complex* x, int64_t stride, int64_t n, double sign, Complex* y) {
  if (n % 2 == 0 && n > 0) {
    const int64_t h = n / 2;
    std::vector<Complex> half(n);
    Fourier(x, 2 * stride, h, sign, half.data());
    Fourier(x + stride, 2 * stride, h, sign, half.data() + h);
    for (int64_t k = 0; k < h; ++k) {
      const Complex t =
          std::polar(1.0, sign * 2 * M_PI * static_cast<double>(k) / static_cast<double>(n)) *
          half[h + k];
      y[k] = half[k] + t;
      y[k + h] = half[k] - t;
    }
    return;
  }
  for (int64_t k = 0; k < n; ++k) {
    y[k] = 0;
    for (int64_t i = 0; i < n; ++i)
      y[k] += x[i * stride] * std::polar(1.0, sign * 2 * M_PI * static_cast<double>(i * k % n) /
                                                  static_cast<double>(n));
  }
}

// A signal along an axis of a tensor (outer, length, inner, 1 or 2), as doubles: zero-padded or cut
// to n.
struct Signals {
  Tensor data;
  AxisView view;
  int64_t parts;  // 1: real, 2: complex

  Signals(const Tensor& x, size_t axis)
      : data(Cast(x, DType::kFloat64)), view(x.shape(), axis), parts(x.shape().back()) {
    Require(parts == 1 || parts == 2, "the last dimension is ", parts, ", needs 1 or 2");
    Require(axis + 1 < x.rank(), "cannot transform the axis of real and imaginary parts");
    view.inner /= parts;
  }
  Complex At(int64_t o, int64_t t, int64_t i) const {
    if (t >= view.length) return 0;
    const double* p = data.data<double>() + ((o * view.length + t) * view.inner + i) * parts;
    return {p[0], parts == 2 ? p[1] : 0.0};
  }
};

void Dft(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const int64_t given_axis = ctx.Has(2) ? ToInts(ctx.Plain(2)).at(0) : ctx.node.Int("axis", -2);
  const size_t axis = NormalAxis(given_axis, x.rank());
  const bool inverse = ctx.node.Int("inverse", 0) != 0, onesided = ctx.node.Int("onesided", 0) != 0;
  const Signals s(x, axis);
  const bool to_real = inverse && onesided;
  const int64_t n = ctx.Has(1) ? ToInts(ctx.Plain(1)).at(0)
                    : to_real  ? 2 * (x.dim(axis) - 1)
                               : x.dim(axis);
  Require(n > 0, "the length of the transform is ", n);
  const int64_t kept = onesided && !inverse ? n / 2 + 1 : n, parts = to_real ? 1 : 2;
  Shape shape = x.shape();
  shape[axis] = kept;
  shape.back() = parts;
  Tensor out(DType::kFloat64, shape);
  std::vector<Complex> in(n), result(n);
  for (int64_t r = 0; r < s.view.outer * s.view.inner; ++r) {
    const int64_t o = r / s.view.inner, i = r % s.view.inner;
    for (int64_t t = 0; t < n; ++t)  // a half spectrum goes on as its mirror image
      in[t] = to_real && t > n / 2 ? std::conj(s.At(o, n - t, i)) : s.At(o, t, i);
    Fourier(in.data(), 1, n, inverse ? 1 : -1, result.data());
    for (int64_t t = 0; t < kept; ++t) {
      const Complex v = inverse ? result[t] / static_cast<double>(n) : result[t];
      double* y = out.data<double>() + ((o * kept + t) * s.view.inner + i) * parts;
      y[0] = v.real();
      if (parts == 2) y[1] = v.imag();
    }
  }
  ctx.out[0] = Cast(out, x.dtype());
}

// (batch, length, 1 or 2) -> (batch, frames, bins, 2)
void Stft(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  Require(x.rank() == 3, "the signal has shape ", ToString(x.shape()), ", needs rank 3");
  const Signals s(x, 1);
  const int64_t step = ToInts(ctx.Plain(1)).at(0);
  const Tensor window = ctx.Has(2) ? Cast(ctx.Plain(2), DType::kFloat64) : Tensor();
  Require(window.defined() || ctx.Has(3), "needs a window or a frame length");
  const int64_t n = ctx.Has(3) ? ToInts(ctx.Plain(3)).at(0) : window.numel();
  Require(step > 0 && n > 0 && n <= x.dim(1) && (!window.defined() || window.numel() == n),
          "frames of ", n, " every ", step, " do not fit the signal ", ToString(x.shape()));
  const int64_t frames = 1 + (x.dim(1) - n) / step;
  const int64_t bins = ctx.node.Int("onesided", 1) ? n / 2 + 1 : n;
  Tensor out(DType::kFloat64, {x.dim(0), frames, bins, 2});
  std::vector<Complex> in(n), result(n);
  double* y = out.data<double>();
  for (int64_t b = 0; b < x.dim(0); ++b)
    for (int64_t f = 0; f < frames; ++f) {
      for (int64_t t = 0; t < n; ++t)
        in[t] = s.At(b, f * step + t, 0) * (window.defined() ? window.data<double>()[t] : 1.0);
      Fourier(in.data(), 1, n, -1, result.data());
      for (int64_t k = 0; k < bins; ++k) {
        *y++ = result[k].real();
        *y++ = result[k].imag();
      }
    }
  ctx.out[0] = Cast(out, x.dtype());
}

// (dft_length / 2 + 1, bins): triangles with corners equally spaced on the mel scale.
void MelWeightMatrix(OpContext& ctx) {
  double v[5];
  for (size_t i = 0; i < 5; ++i) v[i] = *Cast(ctx.Plain(i), DType::kFloat64).data<double>();
  const auto bins = static_cast<int64_t>(v[0]), length = static_cast<int64_t>(v[1]);
  const int64_t rows = length / 2 + 1;
  const auto to_mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  const double low = to_mel(v[3]), mel_step = (to_mel(v[4]) - low) / static_cast<double>(bins + 2);
  std::vector<int64_t> corner(bins + 2);
  for (int64_t i = 0; i < bins + 2; ++i) {
    const double hertz = 700 * (std::pow(10, (low + static_cast<double>(i) * mel_step) / 2595) - 1);
    corner[i] = static_cast<int64_t>(std::floor(static_cast<double>(length + 1) * hertz / v[2]));
    Require(corner[i] >= 0 && corner[i] < rows, "frequencies beyond the spectrum");
  }
  Tensor out = Tensor::Zeros(DType::kFloat64, {rows, bins});
  for (int64_t i = 0; i < bins; ++i) {
    const int64_t left = corner[i], center = corner[i + 1], right = corner[i + 2];
    const auto at = [&](int64_t row) -> double& { return out.data<double>()[row * bins + i]; };
    if (left == center) at(center) = 1;
    for (int64_t j = left; left < center && j <= center; ++j)
      at(j) = static_cast<double>(j - left) / static_cast<double>(center - left);
    for (int64_t j = center; j < right; ++j)
      at(j) = static_cast<double>(right - j) / static_cast<double>(right - center);
  }
  ctx.out[0] = Cast(out, static_cast<DType>(ctx.node.Int("output_datatype", 1)));
}

}  // namespace

void AddSignal(OpTable& table) {
  table.Add("HannWindow", &HannWindow);
  table.Add("HammingWindow", &HammingWindow);
  table.Add("BlackmanWindow", &BlackmanWindow);
  table.Add("DFT", &Dft);
  table.Add("STFT", &Stft);
  table.Add("MelWeightMatrix", &MelWeightMatrix);
}

}  // namespace mezzo
