// How near the outputs are to those of the float network; needs no labels.
//
// The classes of an output lie along its last axis, or along axis 1 from rank 4 on; every other
// place is a row.
//   agreement  share of rows with the same best class
//   sqnr       10 log10(sum of squares of the reference / of the difference) over all samples, in
//   dB kl         mean over the rows of KL(softmax(reference) || softmax(output)) in nats; outputs
//   that are
//              probabilities already are taken as they are
#pragma once

#include "mezzo/evaluate/metric.h"

namespace mezzo {

enum class AgreementValue : unsigned char { kTop1, kSqnr, kKl };

// Value: the one named; details: all three. 200 dB stands for equal outputs. A sample's score is
// its own figure (kl: negated).
std::unique_ptr<Metric> MakeAgreement(const MetricOptions& options, AgreementValue value);

}  // namespace mezzo
