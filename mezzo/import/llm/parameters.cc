#include "mezzo/import/llm/parameters.h"

#include <set>

namespace mezzo {

Shape Parameter::shape() const {
  if (const auto* t = std::get_if<Tensor>(&value)) return t->shape();
  if (const auto* g = std::get_if<GroupCodes>(&value)) return {g->rows, g->cols};
  const auto& r = std::get<RowCodes>(value);
  return {r.rows, r.cols};
}

void ForEachParameter(const LanguageModel& model,
                      const std::function<void(int64_t, Parameter)>& visit) {
  const int64_t layers = model.config().layers;
  const auto& quantization = model.config().quantization;
  std::set<std::string> seen;  // a tied head's weights are the embedding's
  for (int64_t piece = 0; piece < layers + 2; ++piece) {
    const Graph graph = piece == 0        ? model.Embedding()
                        : piece <= layers ? model.Block(piece - 1)
                                          : model.Head();
    for (const auto& [name, t] : graph.initializers) {
      // The others are not the model's: shapes, and tables that the configuration gives.
      if (t.dtype() != DType::kFloat32 || name.starts_with("rotary.")) continue;
      if (!seen.insert(name).second) continue;
      Parameter p{name, t};
      if (quantization && t.rank() == 2) {
        if (auto codes = ReadCodes(model.checkpoint(), p.module(), quantization->format, t.shape()))
          p.value = *std::move(codes);
      }
      visit(piece, std::move(p));
    }
  }
}

}  // namespace mezzo
