#include "mezzo/kernels/group_gemm/group_gemm.h"

#include <algorithm>

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/group_gemm/group_lines.h"
#include "mezzo/kernels/vmath/vector.h"

namespace mezzo {
namespace {

// Stretches of panels of several matrices, numbered through.
class PanelList {
 public:
  explicit PanelList(std::span<const GroupProduct> products) : products_(products) {
    for (const GroupProduct& p : products) total_ += p.w->panels();
  }
  int64_t total() const { return total_; }
  // f(product, begin, end) for the panels [begin, end) of the list.
  template <class F>
  void ForStretch(int64_t begin, int64_t end, const F& f) const {
    for (const GroupProduct& p : products_) {
      const int64_t n = p.w->panels();
      if (begin < n && end > 0) f(p, std::max<int64_t>(begin, 0), std::min(end, n));
      begin -= n, end -= n;
    }
  }

 private:
  std::span<const GroupProduct> products_;
  int64_t total_ = 0;
};

GroupRun& CurrentRun() {
  switch (CurrentIsa()) {
    case Isa::kAvx512Vnni:
      return MEZZO_X86(GroupRunAvx512Vnni);
    case Isa::kAvxVnni:
      return MEZZO_X86(GroupRunAvxVnni);
    case Isa::kNeonDot:
      return MEZZO_NEON(GroupRunNeonDot);
    default:
      return GroupRunAvx2;
  }
}

constexpr int64_t kFewTokens = 6;     // up to here a product waits for its codes
constexpr int64_t kTokenBlock = 128;  // whose codes of a group stay in the first-level cache
constexpr int64_t kPanelBlock = 8;    // panels for a thread at a time

// In place, while the panels are in the cache.
void AddBias(const GroupProduct& p, int64_t begin, int64_t end, int64_t token_begin,
             int64_t token_end) {
  if (!p.bias) return;
  const int64_t first = begin * PackedGroups::kRows;
  const int64_t n = std::min(end * PackedGroups::kRows, p.w->rows()) - first;
  for (int64_t t = token_begin; t < token_end; ++t) {
    float* y = p.y + t * p.y_stride + first;
    vmath::Map2(y, p.bias + first, y, n, [](vmath::F8 a, vmath::F8 b) { return a + b; });
  }
}

void Finish(const GroupProduct& p, int64_t begin, int64_t end, int64_t token_begin,
            int64_t token_end) {
  AddBias(p, begin, end, token_begin, token_end);
  AddPath(p, begin, end, token_begin, token_end);
}

}  // namespace

void AddPath(const GroupProduct& p, int64_t begin, int64_t end, int64_t token_begin,
             int64_t token_end) {
  if (!p.path_b) return;
  std::vector<const float*> rows(token_end - token_begin);
  for (int64_t t = token_begin; t < token_end; ++t)
    rows[t - token_begin] = p.path_x + t * p.path_stride;
  float* const y = p.y + token_begin * p.y_stride;
  SgemmBlock({rows.data(), 1, p.path_b->k()}, token_end - token_begin, *p.path_b, begin, end, y,
             p.y_stride, {y, p.y_stride});
}

void GroupGemm(const GroupActivations& x, std::span<const GroupProduct> products,
               const Threads& threads) {
  for (const GroupProduct& p : products)
    Require(PackedGroups::HasIntegers(p.w->format()) && p.w->group() == x.group() &&
                p.w->depth() == x.depth(),
            "a product of ", x.depth(), " columns in groups of ", x.group(), " with ", p.w->depth(),
            " in groups of ", p.w->group());
  if (CurrentIsa() == Isa::kPlain) {
    for (const GroupProduct& p : products) {
      GroupGemmRef(x, p);
      Finish(p, 0, p.w->panels(), 0, x.tokens());
    }
    return;
  }
  const PanelList panels(products);
  GroupRun& run = CurrentRun();
  if (x.tokens() <= kFewTokens) {
    // Equal shares, so that every thread streams one stretch of memory.
    threads.For(panels.total(), 4, [&](size_t begin, size_t end) {
      panels.ForStretch(begin, end, [&](const GroupProduct& p, int64_t b, int64_t e) {
        run(x, p, b, e, 0, x.tokens());
        Finish(p, b, e, 0, x.tokens());
      });
    });
    return;
  }
  const int64_t cuts = (panels.total() + kPanelBlock - 1) / kPanelBlock;
  const int64_t blocks = (x.tokens() + kTokenBlock - 1) / kTokenBlock;
  threads.Each(cuts * blocks, [&](size_t job, size_t) {
    const int64_t cut = static_cast<int64_t>(job) / blocks, block = job % blocks;
    const int64_t begin = x.tokens() * block / blocks, end = x.tokens() * (block + 1) / blocks;
    panels.ForStretch(cut * kPanelBlock, (cut + 1) * kPanelBlock,
                      [&](const GroupProduct& p, int64_t b, int64_t e) {
                        run(x, p, b, e, begin, end);
                        Finish(p, b, e, begin, end);
                      });
  });
}

}  // namespace mezzo
