// Look-up tables, such as embeddings, stored in codes of 2 to 8 bits.
#pragma once

#include <set>
#include <string>

#include "mezzo/format/weight_format.h"
#include "mezzo/graph/graph.h"

namespace mezzo {

// Constant float32 matrices of 2^16 values or more that only Gather along axis 0 reads.
std::set<std::string> FindTables(const Graph& graph);

// int8 codes with a scale for each row take the table's place: a Gather of it becomes
// Cast(Gather(codes)) * Gather(scales). They are nearest: of int8 with the row's largest value at
// 127; of narrow formats levels, at the best of a few scales. Throws UsageError naming the table if
// FindTables would not give it.
void StoreTable(Graph& graph, const std::string& table, const WeightFormat& format);

// The initializer that holds a stored table's codes; empty if there is none.
std::string TableCodes(const Graph& graph, const std::string& table);

}  // namespace mezzo
