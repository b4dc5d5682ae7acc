// labels.csv: which samples a folder holds and what is known about each.
//
//   file,class_index     or  file,text     or  file,target (another picture: what the network
//   should make) cat/001.jpg,3
//
// Comma-separated with quotes as in RFC 4180; a byte order mark, CRLF and empty lines are accepted;
// columns after the second are ignored.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mezzo {

enum class LabelKind : unsigned char { kClassIndex, kText, kTarget };

struct LabelRow {
  std::string file, value;
  size_t line = 0;  // where the row begins, from 1
};

struct LabelFile {
  LabelKind kind = LabelKind::kClassIndex;
  std::vector<LabelRow> rows;
};

// Throws FileError with `name` and the line: no such header, a row with one column, an empty file
// name, an unclosed quote or text after one, a class index that is no whole number from 0.
LabelFile ParseLabels(std::string_view text, const std::string& name);

// One record a row; lines[i] is where it begins. FileError for bad quotes.
std::vector<std::vector<std::string>> ParseCsv(std::string_view text, const std::string& name,
                                               std::vector<size_t>* lines);

}  // namespace mezzo
