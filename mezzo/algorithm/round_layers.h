// The weights of all layers of a plan, rounded.
#pragma once

#include "mezzo/algorithm/plan.h"
#include "mezzo/algorithm/recovery/network_paths.h"
#include "mezzo/calibrate/collect.h"

namespace mezzo {

// What all layers take, where they can: GroupSize says which groups a layer has.
struct WeightChoice {
  const WeightFormat* format = FindWeightFormat("int8");
  int64_t group_size = 0;
  PathChoice path;

  bool plain() const { return !format->narrow() && path.rank == 0; }
};

// Format, scales, steps and codes of a layer.
void SetWeights(NodePlan& node, const WeightFormat& format, int64_t group_size, NarrowWeights q);

struct LayerMoments {
  SampleFn sample;  // null: round to the nearest
  size_t count = 0;
  size_t memory = 0;  // moments.h
};

// Rounds every layer of `graph` with a weight that the plan quantizes.
void RoundLayers(const Graph& graph, const WeightChoice& choice, const LayerMoments& moments,
                 const Threads& threads, Plan& plan);

}  // namespace mezzo
