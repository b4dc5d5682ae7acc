#include "mezzo/runtime/op.h"

#include "mezzo/runtime/ops/families.h"

namespace mezzo {

const Tensor& OpContext::Plain(size_t i) {
  Require(Has(i), node.op_type, " needs input ", i);
  if (in[i].layout() != Layout::kPlain) in[i] = in[i].ToLayout(Layout::kPlain);
  return in[i];
}

Tensor OpContext::TakeOrMake(size_t i, DType dtype) {
  if (in[i].dtype() == dtype && !constant[i] && in[i].unique()) return in[i];
  return Tensor(dtype, in[i].shape(), in[i].layout());
}

std::vector<Tensor> OpContext::RunSubgraph(const std::string& attribute,
                                           std::vector<Tensor> inputs) {
  return subgraphs->Run(attribute, std::move(inputs));
}

const OpTable& OpTable::Get() {
  static const OpTable* const table = [] {
    auto* t = new OpTable;
#define X(Family) Add##Family(*t);
    MEZZO_OP_FAMILIES(X)
#undef X
    return t;
  }();
  return *table;
}

const OpEntry* OpTable::Find(const std::string& domain, const std::string& op_type) const {
  const auto it =
      entries_.find(domain.empty() || domain == "ai.onnx" ? op_type : domain + ":" + op_type);
  return it == entries_.end() ? nullptr : &it->second;
}

}  // namespace mezzo
