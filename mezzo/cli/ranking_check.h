// How well rankings foretell what quantizing a layer alone really does.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "mezzo/algorithm/mixed/network.h"
#include "mezzo/report/plan_report.h"

namespace mezzo {

// The loss of the graph with one layer in one option, its scales and biases fitted; by layer and
// option. `step` is told of each layer.
Scores LossesAlone(const Graph& graph, const std::vector<NetworkLayer>& layers,
                   const std::function<double(const Graph&)>& loss,
                   const std::function<void()>& step);

// Spearman's rank correlation of scores with these losses over all layers: for each option but
// float32, and for all of 4 bits and below together.
PlanRanking AgreementOf(const std::string& name, const Scores& scores, const Scores& alone,
                        const std::vector<NetworkOption>& options);

}  // namespace mezzo
