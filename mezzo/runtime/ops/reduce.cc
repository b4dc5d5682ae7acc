// Reductions over any set of axes. Real numbers are summed in double.
//
// The axes are brought together to one run: x is then (outer, length, inner) and y (outer, inner).
#include "mezzo/runtime/ops/reduce.h"

#include <cmath>
#include <limits>

#include "mezzo/kernels/vmath/vmath.h"
#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/strided_copy.h"

namespace mezzo {
namespace {

template <class T>
using Sum = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;

struct ReduceView {
  Tensor x;
  int64_t outer = 1, length = 1, inner = 1;
  Shape shape;  // of the result
};

// A channels-last tensor (N, C, S...) as the plain (N, S..., C) that it is in memory, if its
// spatial axes all go and the others stay: the result then has the same order in both views.
bool ReadsChannelsLast(const Tensor& x, const std::vector<char>& reduced) {
  return x.layout() == Layout::kChannelsLast && !reduced[0] && !reduced[1] &&
         std::all_of(reduced.begin() + 2, reduced.end(), [](char r) { return r != 0; });
}

ReduceView MakeView(OpContext& ctx) {
  const Tensor& x = ctx.in[0];
  const size_t rank = x.rank();
  const std::vector<int64_t> axes = ctx.Has(1) ? ToInts(ctx.Plain(1)) : std::vector<int64_t>{};
  std::vector<char> reduced = AxisFlags(axes, rank);
  if (axes.empty() && !ctx.node.Int("noop_with_empty_axes", 0)) reduced.assign(rank, 1);
  ReduceView v;
  std::vector<int64_t> perm;
  const bool keep = ctx.node.Int("keepdims", 1) != 0;
  for (size_t i = 0; i < rank; ++i)
    if (!reduced[i] || keep) v.shape.push_back(reduced[i] ? 1 : x.dim(i));
  if (rank >= 3 && ReadsChannelsLast(x, reduced)) {
    v.x = x;
    v.outer = x.dim(0);
    v.inner = x.dim(1);
    for (size_t i = 2; i < rank; ++i) v.length *= x.dim(i);
    return v;
  }
  v.x = ctx.Plain(0);
  int runs = 0;  // of reduced axes; those of length 1 count to any run
  bool inside = false;
  for (size_t i = 0; i < rank; ++i) {
    if (reduced[i]) v.length *= v.x.dim(i);
    if (v.x.dim(i) == 1) continue;
    runs += reduced[i] && !inside;
    inside = reduced[i];
    if (!reduced[i]) (runs == 0 ? v.outer : v.inner) *= v.x.dim(i);
  }
  if (runs <= 1) return v;
  for (const char take : {0, 1})
    for (size_t i = 0; i < rank; ++i)
      if (reduced[i] == take) perm.push_back(static_cast<int64_t>(i));
  v.x = TransposeTensor(v.x, perm, ctx.threads);
  v.outer *= std::exchange(v.inner, 1);
  return v;
}

// Each reducer: a start, a step per element, and what is made of the result over n elements.
struct SumReducer {
  template <class T>
  static Sum<T> Start() {
    return 0;
  }
  template <class A, class T>
  static void Step(A& a, T x) {
    a += static_cast<A>(x);
  }
  template <class A>
  static A End(A a, int64_t) {
    return a;
  }
};
struct MeanReducer : SumReducer {
  template <class A>
  static A End(A a, int64_t n) {
    if constexpr (std::is_integral_v<A>)
      return n ? a / n : 0;
    else
      return a / static_cast<A>(n);
  }
};
struct LogSumReducer : SumReducer {
  template <class A>
  static A End(A a, int64_t) {
    return static_cast<A>(std::log(static_cast<double>(a)));
  }
};
struct SumSquareReducer : SumReducer {
  template <class A, class T>
  static void Step(A& a, T x) {
    a += static_cast<A>(x) * static_cast<A>(x);
  }
};
struct L2Reducer : SumSquareReducer {
  template <class A>
  static A End(A a, int64_t) {
    return static_cast<A>(std::sqrt(static_cast<double>(a)));
  }
};
struct L1Reducer : SumReducer {
  template <class A, class T>
  static void Step(A& a, T x) {
    a += x < T(0) ? -static_cast<A>(x) : static_cast<A>(x);
  }
};
struct ProdReducer : SumReducer {
  template <class T>
  static Sum<T> Start() {
    return 1;
  }
  template <class A, class T>
  static void Step(A& a, T x) {
    a *= static_cast<A>(x);
  }
};
struct MaxReducer : SumReducer {
  template <class T>
  static T Start() {
    using L = std::numeric_limits<T>;
    return L::has_infinity ? -L::infinity() : L::lowest();
  }
  template <class A, class T>
  static void Step(A& a, T x) {
    a = x > a || x != x ? x : a;
  }
};
struct MinReducer : SumReducer {
  template <class T>
  static T Start() {
    using L = std::numeric_limits<T>;
    return L::has_infinity ? L::infinity() : L::max();
  }
  template <class A, class T>
  static void Step(A& a, T x) {
    a = x < a || x != x ? x : a;
  }
};

// inner = 1: the elements of a result lie side by side.
template <class R, class T>
T ReduceRow(const T* x, int64_t n) {
  if constexpr (std::is_same_v<T, float> &&
                (std::is_same_v<R, SumReducer> || std::is_same_v<R, MeanReducer>)) {
    return static_cast<T>(R::End(vmath::SumOf(x, n), n));
  } else if constexpr (std::is_same_v<T, float> && std::is_same_v<R, MaxReducer>) {
    return vmath::MaxOf(x, n, R::template Start<T>());
  } else {
    auto a = R::template Start<T>();
    for (int64_t i = 0; i < n; ++i) R::Step(a, x[i]);
    return static_cast<T>(R::End(a, n));
  }
}

// A few columns of (length, inner) at a time, so that the sums stay in the cache.
template <class R, class T>
void ReduceColumns(const T* x, int64_t n, int64_t inner, T* y) {
  constexpr int64_t kBlock = 64;
  for (int64_t c = 0; c < inner; c += kBlock) {
    const int64_t width = std::min(kBlock, inner - c);
    decltype(R::template Start<T>()) a[kBlock];
    std::fill_n(a, kBlock, R::template Start<T>());
    for (int64_t i = 0; i < n; ++i) {
      const T* row = x + i * inner + c;
      if (width == kBlock)
        for (int64_t j = 0; j < kBlock; ++j) R::Step(a[j], row[j]);
      else
        for (int64_t j = 0; j < width; ++j) R::Step(a[j], row[j]);
    }
    for (int64_t j = 0; j < width; ++j) y[c + j] = static_cast<T>(R::End(a[j], n));
  }
}

template <class R>
void Reduce(OpContext& ctx) {
  const ReduceView v = MakeView(ctx);
  ctx.out[0] = Tensor(v.x.dtype(), v.shape);
  WithType(v.x.dtype(), [&]<class T>() {
    const T* x = v.x.data<T>();
    T* y = ctx.out[0].data<T>();
    const size_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, v.length * v.inner));
    ctx.threads.For(v.outer, grain, [&](size_t begin, size_t end) {
      for (size_t o = begin; o < end; ++o) {
        if (v.inner == 1)
          y[o] = ReduceRow<R>(x + o * v.length, v.length);
        else
          ReduceColumns<R>(x + o * v.length * v.inner, v.length, v.inner, y + o * v.inner);
      }
    });
  });
}

// max + log(sum of e^(x - max))
void LogSumExp(OpContext& ctx) {
  const ReduceView v = MakeView(ctx);
  ctx.out[0] = Tensor(v.x.dtype(), v.shape);
  WithReal(v.x.dtype(), [&]<class T>() {
    for (int64_t r = 0; r < v.outer * v.inner; ++r) {
      const T* x = v.x.data<T>() + r / v.inner * v.length * v.inner + r % v.inner;
      T top = MaxReducer::Start<T>();
      for (int64_t i = 0; i < v.length; ++i) MaxReducer::Step(top, x[i * v.inner]);
      double sum = 0;
      for (int64_t i = 0; i < v.length; ++i)
        sum += std::exp(static_cast<double>(x[i * v.inner]) - top);
      ctx.out[0].data<T>()[r] = std::isinf(top) ? top : static_cast<T>(top + std::log(sum));
    }
  });
}

template <class R>
void Add(OpTable& table, const char* name) {
  table.Add(name, &ViaFloat<&Reduce<R>>, true);
}

}  // namespace

void AddReduce(OpTable& table) {
  Add<SumReducer>(table, "ReduceSum");
  Add<MeanReducer>(table, "ReduceMean");
  Add<LogSumReducer>(table, "ReduceLogSum");
  Add<SumSquareReducer>(table, "ReduceSumSquare");
  Add<L1Reducer>(table, "ReduceL1");
  Add<L2Reducer>(table, "ReduceL2");
  Add<ProdReducer>(table, "ReduceProd");
  Add<MaxReducer>(table, "ReduceMax");
  Add<MinReducer>(table, "ReduceMin");
  table.Add("ReduceLogSumExp", &ViaFloat<&LogSumExp>, true);
  AddScans(table);
}

}  // namespace mezzo
