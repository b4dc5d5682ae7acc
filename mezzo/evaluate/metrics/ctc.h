// Text read by a network with CTC output (1, time, characters): at each time the best character,
// repeats merged, blanks (index 0) dropped. Spaces count neither in the text nor in what was read.
#pragma once

#include <string_view>

#include "mezzo/evaluate/metric.h"

namespace mezzo {

// Value: the share of lines read without a fault; details: character_accuracy, 1 - edit distance /
// length over all lines, in code points. Needs options.characters.
std::unique_ptr<Metric> MakeCtc(const MetricOptions& options);

// The characters by index: the blank, the lines of `characters`, a space.
std::vector<std::string> CtcCharacters(std::string_view characters);
// The text of an output (1, time, characters) or (time, characters). Indexes past the list read as
// a space.
std::string CtcText(const Tensor& output, const std::vector<std::string>& characters);
// Code points of UTF-8 text; a byte that is not part of any counts as itself.
std::u32string CodePoints(std::string_view utf8);
// Insertions, deletions and replacements that make one text from the other.
size_t EditDistance(const std::u32string& a, const std::u32string& b);

}  // namespace mezzo
