// The inside of CimGemm.
#pragma once

#include "mezzo/kernels/cim/cim.h"

namespace mezzo::cim {

// Bit planes of a row of codes: for each chunk, for each of 8 planes, chunk_words() words, row k of
// the chunk in bit k.
void PackRow(const uint8_t* codes, const CimArray& array, uint64_t* words);

void RunAnalog(const CimArgs& args, const CimArray& array, int32_t* acc);

}  // namespace mezzo::cim
