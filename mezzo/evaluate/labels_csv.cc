#include "mezzo/evaluate/labels_csv.h"

#include <algorithm>
#include <cctype>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& name) : text_(text), name_(name) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
  }
  bool AtEnd() const { return at_ >= text_.size(); }
  size_t line() const { return line_; }

  std::vector<std::string> Record() {
    std::vector<std::string> fields;
    do fields.push_back(Field());
    while (Take(','));
    Take('\r');
    if (!AtEnd() && !Take('\n'))
      throw FileError(
          Cat(name_, ": line ", line_, ": text follows a closing quote or a carriage return"));
    return fields;
  }

 private:
  bool Take(char c) {
    if (AtEnd() || text_[at_] != c) return false;
    if (c == '\n') ++line_;
    ++at_;
    return true;
  }
  std::string Field() {
    std::string s;
    if (!Take('"')) {
      while (!AtEnd() && text_[at_] != ',' && text_[at_] != '\n' && text_[at_] != '\r')
        s += text_[at_++];
      return s;
    }
    const size_t begin = line_;
    for (;;) {
      RequireFile(!AtEnd(), name_, ": line ", begin, ": a quote is never closed");
      const char c = text_[at_];
      Take(c);
      if (c == '"' && !Take('"')) return s;  // two of them stand for one
      s += c;
    }
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0, line_ = 1;
};

bool IsIndex(const std::string& s) {
  return !s.empty() && s.size() <= 9 &&
         std::ranges::all_of(s, [](unsigned char c) { return std::isdigit(c); });
}

}  // namespace

std::vector<std::vector<std::string>> ParseCsv(std::string_view text, const std::string& name,
                                               std::vector<size_t>* lines) {
  std::vector<std::vector<std::string>> records;
  for (CsvReader reader(text, name); !reader.AtEnd();) {
    const size_t line = reader.line();
    std::vector<std::string> record = reader.Record();
    if (record.size() == 1 && record[0].empty()) continue;
    records.push_back(std::move(record));
    lines->push_back(line);
  }
  return records;
}

LabelFile ParseLabels(std::string_view text, const std::string& name) {
  std::vector<size_t> lines;
  const auto records = ParseCsv(text, name, &lines);
  RequireFile(!records.empty(), name, ": is empty");
  const auto& header = records[0];
  LabelFile labels;
  const std::string second = header.size() > 1 ? header[1] : "";
  const bool known = second == "class_index" || second == "text" || second == "target";
  RequireFile(header[0] == "file" && known, name,
              ": must begin with the line file,class_index or file,text or file,target");
  labels.kind = second == "text"     ? LabelKind::kText
                : second == "target" ? LabelKind::kTarget
                                     : LabelKind::kClassIndex;
  for (size_t i = 1; i < records.size(); ++i) {
    const auto& r = records[i];
    RequireFile(r.size() >= 2, name, ": line ", lines[i], ": has one column, needs file,", second);
    RequireFile(!r[0].empty(), name, ": line ", lines[i], ": names no file");
    RequireFile(r[0].find('\0') == std::string::npos, name, ": line ", lines[i],
                ": the file name holds a zero byte");
    RequireFile(labels.kind != LabelKind::kClassIndex || IsIndex(r[1]), name, ": line ", lines[i],
                ": class_index is '", r[1].substr(0, 40), "', must be a whole number from 0");
    RequireFile(labels.kind != LabelKind::kTarget || !r[1].empty(), name, ": line ", lines[i],
                ": names no target");
    labels.rows.push_back({r[0], r[1], lines[i]});
  }
  RequireFile(!labels.rows.empty(), name, ": lists no files");
  return labels;
}

}  // namespace mezzo
