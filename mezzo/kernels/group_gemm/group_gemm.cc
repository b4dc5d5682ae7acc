#include "mezzo/kernels/group_gemm/group_gemm.h"

#include <algorithm>

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/group_gemm/group_lines.h"
#include "mezzo/kernels/vmath/functions.h"
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
    case Isa::kPlain:
      return GroupRunRef;
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
constexpr int64_t kTile = 6;          // tokens of the highest tile; blocks are cut between tiles

// Panels [begin, end) of tokens [token_begin, token_end).
struct Block {
  int64_t begin, end, token_begin, token_end;
};

void AddBias(const GroupProduct& p, const Block& b) {
  if (!p.bias) return;
  const int64_t first = b.begin * PackedGroups::kRows;
  const int64_t n = std::min(b.end * PackedGroups::kRows, p.w->rows()) - first;
  for (int64_t t = b.token_begin; t < b.token_end; ++t) {
    float* y = p.y + t * p.y_stride + first;
    vmath::Map2(y, p.bias + first, y, n, [](vmath::F8 a, vmath::F8 b) { return a + b; });
  }
}

void Check(const GroupActivations& x, const GroupProduct& p) {
  Require(PackedGroups::HasIntegers(p.w->format()) && p.w->group() == x.group() &&
              p.w->depth() == x.depth(),
          "a product of ", x.depth(), " columns in groups of ", x.group(), " with ", p.w->depth(),
          " in groups of ", p.w->group());
}

void Run(const GroupActivations& x, const GroupProduct& p, const Block& b) {
  CurrentRun()(x, p, b.begin, b.end, b.token_begin, b.token_end);
  AddBias(p, b);
  AddPath(p, b.begin, b.end, b.token_begin, b.token_end);
}

// f(block) for blocks of all panels and tokens.
template <class F>
void ForBlocks(int64_t panels, int64_t tokens, const Threads& threads, const F& f) {
  if (tokens <= kFewTokens) {
    // Equal shares, so that every thread streams one stretch of memory.
    threads.For(panels, 4, [&](size_t begin, size_t end) {
      f(Block{static_cast<int64_t>(begin), static_cast<int64_t>(end), 0, tokens});
    });
    return;
  }
  const int64_t cuts = (panels + kPanelBlock - 1) / kPanelBlock;
  const int64_t blocks = (tokens + kTokenBlock - 1) / kTokenBlock;
  const int64_t tiles = (tokens + kTile - 1) / kTile;
  const auto first = [&](int64_t block) { return tokens * (tiles * block / blocks) / tiles; };
  threads.Each(cuts * blocks, [&](size_t job, size_t) {
    const int64_t cut = static_cast<int64_t>(job) / blocks, block = job % blocks;
    f(Block{cut * kPanelBlock, std::min((cut + 1) * kPanelBlock, panels), first(block),
            first(block + 1)});
  });
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
  for (const GroupProduct& p : products) Check(x, p);
  const PanelList panels(products);
  ForBlocks(panels.total(), x.tokens(), threads, [&](const Block& b) {
    panels.ForStretch(b.begin, b.end, [&](const GroupProduct& p, int64_t begin, int64_t end) {
      Run(x, p, {begin, end, b.token_begin, b.token_end});
    });
  });
}

void GroupGemmGated(const GroupActivations& x, const GroupProduct& gate, const GroupProduct& up,
                    const Threads& threads) {
  for (const GroupProduct* p : {&gate, &up}) Check(x, *p);
  Require(gate.w->rows() == up.w->rows(), "a gate of ", gate.w->rows(), " rows for ", up.w->rows());
  ForBlocks(up.w->panels(), x.tokens(), threads, [&](const Block& b) {
    const int64_t first = b.begin * PackedGroups::kRows, tokens = b.token_end - b.token_begin;
    const int64_t n = std::min(b.end * PackedGroups::kRows, up.w->rows()) - first;
    Tensor gates(DType::kFloat32, {tokens * n});
    GroupProduct g = gate;
    g.y = gates.data<float>() - (b.token_begin * n + first), g.y_stride = n;
    Run(x, g, b);
    Run(x, up, b);
    for (int64_t t = b.token_begin; t < b.token_end; ++t) {
      float* const y = up.y + t * up.y_stride + first;
      vmath::SiluTimes(g.y + t * n + first, y, y, n);
    }
  });
}

}  // namespace mezzo
