// Parts of the family of generating operators that have files of their own.
#pragma once

#include "mezzo/runtime/op.h"

namespace mezzo {

void AddRandom(OpTable& table);  // RandomNormal, RandomUniform, their -Like forms, Bernoulli
void AddSignal(OpTable& table);  // windows, DFT, STFT, MelWeightMatrix

}  // namespace mezzo
