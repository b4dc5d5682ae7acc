// TopK, Unique, NonMaxSuppression.
#include <algorithm>
#include <limits>

#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/op_util.h"
#include "mezzo/runtime/ops/strided_copy.h"

namespace mezzo {
namespace {

// The k first elements of one row in order, by value and then by index. NaN counts as the largest.
template <class T>
void TopKRow(const T* x, int64_t stride, int64_t n, int64_t k, bool largest, T* values,
             int64_t* indices, std::vector<int64_t>& order) {
  order.resize(n);
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](int64_t i, int64_t j) {
    const T a = x[i * stride], b = x[j * stride];
    const bool nan_a = a != a, nan_b = b != b;
    if (nan_a != nan_b) return largest ? nan_a : nan_b;
    if (a == b || nan_a) return i < j;
    return largest ? a > b : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
  for (int64_t i = 0; i < k; ++i) {
    values[i * stride] = x[order[i] * stride];
    indices[i * stride] = order[i];
  }
}

// Always sorted, which sorted = 0 allows too.
void TopK(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const size_t axis = NormalAxis(ctx.node.Int("axis", -1), x.rank());
  const int64_t k = ToInts(ctx.Plain(1)).at(0);
  const AxisView v(x.shape(), axis);
  Require(k >= 0 && k <= v.length, "k is ", k, " for an axis of ", v.length);
  const bool largest = ctx.node.Int("largest", 1) != 0;
  Shape shape = x.shape();
  shape[axis] = k;
  Tensor values(x.dtype(), shape), indices(DType::kInt64, shape);
  WithType(x.dtype(), [&]<class T>() {
    const size_t grain = std::max<int64_t>(1, kGrain / 8 / std::max<int64_t>(1, v.length));
    ctx.threads.For(v.outer * v.inner, grain, [&](size_t begin, size_t end) {
      std::vector<int64_t> order;
      for (size_t r = begin; r < end; ++r) {
        const int64_t o = r / v.inner, i = r % v.inner, to = o * k * v.inner + i;
        TopKRow(x.data<T>() + o * v.length * v.inner + i, v.inner, v.length, k, largest,
                values.data<T>() + to, indices.data<int64_t>() + to, order);
      }
    });
  });
  ctx.out[0] = values;
  if (ctx.out.size() > 1) ctx.out[1] = indices;
}

// The distinct slices along an axis (or elements, of the flat tensor): first occurrence, place of
// each slice among the distinct ones, counts. Sorted, or in order of first occurrence.
void Unique(OpContext& ctx) {
  const bool flat = !ctx.node.Has("axis");
  const Tensor& given = ctx.Plain(0);
  const size_t axis = flat ? 0 : NormalAxis(ctx.node.Int("axis", 0), given.rank());
  const Tensor x = flat ? given.Reshape({given.numel()}) : given;
  std::vector<int64_t> front(x.rank());  // the axis first, so that slices are rows
  std::iota(front.begin(), front.end(), 0);
  std::rotate(front.begin(), front.begin() + axis, front.begin() + axis + 1);
  const Tensor rows = TransposeTensor(x, front, ctx.threads);
  const int64_t n = rows.dim(0), width = n ? rows.numel() / n : 0;
  std::vector<int64_t> order(n), first, inverse(n), counts;
  std::iota(order.begin(), order.end(), 0);
  WithType(x.dtype(), [&]<class T>() {
    const T* r = rows.data<T>();
    const auto less = [&](int64_t i, int64_t j) {
      return std::lexicographical_compare(r + i * width, r + (i + 1) * width, r + j * width,
                                          r + (j + 1) * width);
    };
    std::ranges::stable_sort(order, less);
    for (int64_t i = 0; i < n; ++i) {
      if (i == 0 || less(order[i - 1], order[i])) {
        first.push_back(order[i]);
        counts.push_back(0);
      }
      inverse[order[i]] = static_cast<int64_t>(first.size()) - 1;
      ++counts.back();
    }
  });
  if (!ctx.node.Int("sorted", 1)) {
    std::vector<int64_t> by_first(first.size()), rank(first.size());
    std::iota(by_first.begin(), by_first.end(), 0);
    std::ranges::sort(by_first, {}, [&](int64_t i) { return first[i]; });
    const std::vector<int64_t> old_first = first, old_counts = counts;
    for (size_t i = 0; i < by_first.size(); ++i) {
      rank[by_first[i]] = static_cast<int64_t>(i);
      first[i] = old_first[by_first[i]];
      counts[i] = old_counts[by_first[i]];
    }
    for (int64_t& i : inverse) i = rank[i];
  }
  Shape shape = rows.shape();
  shape[0] = static_cast<int64_t>(first.size());
  Tensor kept(x.dtype(), shape);
  const size_t unit = width * SizeOf(x.dtype());
  for (size_t i = 0; i < first.size(); ++i)
    std::copy_n(static_cast<const std::byte*>(rows.raw()) + first[i] * unit, unit,
                static_cast<std::byte*>(kept.raw()) + i * unit);
  std::vector<int64_t> back(x.rank());
  for (size_t i = 0; i < back.size(); ++i) back[front[i]] = static_cast<int64_t>(i);
  ctx.out[0] = TransposeTensor(kept, back, ctx.threads);
  const std::vector<int64_t>* extra[] = {&first, &inverse, &counts};
  for (size_t i = 1; i < ctx.out.size(); ++i) ctx.out[i] = Tensor::Vector(*extra[i - 1]);
}

struct Box {
  float y1, x1, y2, x2;
};

Box ReadBox(const float* b, bool center) {
  if (center) return {b[1] - b[3] / 2, b[0] - b[2] / 2, b[1] + b[3] / 2, b[0] + b[2] / 2};
  return {std::min(b[0], b[2]), std::min(b[1], b[3]), std::max(b[0], b[2]), std::max(b[1], b[3])};
}

float IntersectionOverUnion(const Box& a, const Box& b) {
  const float h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  const float w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  if (h <= 0 || w <= 0) return 0;
  const float area_a = (a.y2 - a.y1) * (a.x2 - a.x1), area_b = (b.y2 - b.y1) * (b.x2 - b.x1);
  return h * w / (area_a + area_b - h * w);
}

// Per batch entry and class: boxes by falling score, each unless it overlaps a chosen one too much.
void NonMaxSuppression(OpContext& ctx) {
  const Tensor &boxes = ctx.Plain(0), &scores = ctx.Plain(1);
  Require(boxes.rank() == 3 && boxes.dim(2) == 4 && scores.rank() == 3 &&
              scores.dim(0) == boxes.dim(0) && scores.dim(2) == boxes.dim(1),
          "boxes ", ToString(boxes.shape()), " and scores ", ToString(scores.shape()),
          " must be (batch, boxes, 4) and (batch, classes, boxes)");
  const int64_t most = ctx.Has(2) ? ToInts(ctx.Plain(2)).at(0) : 0;
  const float overlap = ctx.Has(3) ? *ctx.Plain(3).data<float>() : 0;
  const float threshold =
      ctx.Has(4) ? *ctx.Plain(4).data<float>() : -std::numeric_limits<float>::infinity();
  const bool center = ctx.node.Int("center_point_box", 0) != 0;
  const int64_t count = boxes.dim(1), classes = scores.dim(1);
  std::vector<int64_t> selected;
  for (int64_t row = 0; row < scores.dim(0) * classes; ++row) {
    const int64_t batch = row / classes;
    const float* score = scores.data<float>() + row * count;
    std::vector<int64_t> order;
    for (int64_t i = 0; i < count; ++i)
      if (!ctx.Has(4) || score[i] > threshold) order.push_back(i);
    std::ranges::stable_sort(order, std::greater<>{}, [&](int64_t i) { return score[i]; });
    std::vector<Box> chosen;
    for (const int64_t i : order) {
      if (static_cast<int64_t>(chosen.size()) >= most) break;
      const Box box = ReadBox(boxes.data<float>() + (batch * count + i) * 4, center);
      if (std::ranges::any_of(
              chosen, [&](const Box& c) { return IntersectionOverUnion(c, box) > overlap; }))
        continue;
      chosen.push_back(box);
      selected.insert(selected.end(), {batch, row % classes, i});
    }
  }
  ctx.out[0] = Tensor::Of(selected, {static_cast<int64_t>(selected.size()) / 3, 3});
}

}  // namespace

void AddSort(OpTable& table) {
  table.Add("TopK", &ViaFloat<&TopK>);
  table.Add("Unique", &ViaFloat<&Unique>);
  table.Add("NonMaxSuppression", &NonMaxSuppression);
}

}  // namespace mezzo
