// Look-up tables, such as embeddings, stored in int8.
#pragma once

#include <set>
#include <string>

#include "mezzo/graph/graph.h"

namespace mezzo {

// Constant float32 matrices of 2^16 values or more that only Gather along axis 0 reads.
std::set<std::string> FindTables(const Graph& graph);

// Codes of -127 to 127 with a scale for each row take the table's place: a Gather of it becomes
// Cast(Gather(codes)) * Gather(scales). Throws UsageError naming the table if FindTables would not
// give it.
void StoreTable(Graph& graph, const std::string& table);

}  // namespace mezzo
