// Brings operators of opset 7 and up to their opset-21 forms, so that the rest of Mezzo knows one
// form of each: axes, pads, limits and the like as inputs, Upsample as Resize, Softmax along one
// axis.
#pragma once

#include "mezzo/graph/graph.h"

namespace mezzo {

// Rewrites the nodes of the graph and of its subgraphs. Throws UsageError naming the node for the
// few old forms that have no new one (Scan before opset 9, strings).
void UpgradeOperators(Graph& graph, int64_t from_opset);

}  // namespace mezzo
