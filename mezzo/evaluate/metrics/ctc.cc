#include "mezzo/evaluate/metrics/ctc.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace mezzo {
namespace {

class Ctc : public Metric {
 public:
  explicit Ctc(const MetricOptions& o)
      : output_(o.output), characters_(CtcCharacters(o.characters)) {
    Require(!o.characters.empty(),
            "ctc: the network's metadata lacks `character`, the list of its characters");
  }
  std::string name() const override { return "line_accuracy"; }

  Contribution Measure(const Sample& sample, const Outputs& outputs,
                       const Outputs*) const override {
    std::u32string want = CodePoints(LabelAs<std::string>(sample, "ctc", "a text"));
    const Tensor t = OutputOf(sample, outputs, output_);
    Require((t.rank() == 3 && t.dim(0) == 1) || t.rank() == 2, "ctc: sample '", sample.name,
            "': the output is ", ToString(t.shape()), ", needs [1,time,characters]");
    std::u32string got = CodePoints(CtcText(t, characters_));
    std::erase(want, U' ');
    std::erase(got, U' ');
    const auto faults = static_cast<double>(EditDistance(want, got)),
               length = static_cast<double>(want.size());
    return {length > 0 ? 1 - faults / length : got.empty(),
            {want == got ? 1.0 : 0.0, faults, length}};
  }

  void Merge(const Contribution& c) override {
    lines_.Add(c.values[0]);
    faults_ += c.values[1];
    length_ += c.values[2];
  }

  MetricResult Finish() override {
    Require(lines_.n() > 0, "ctc: there are no samples");
    return {name(),     lines_.mean(),
            true,       lines_.standard_error(),
            lines_.n(), {{"character_accuracy", length_ > 0 ? 1 - faults_ / length_ : 1.0}}};
  }

 private:
  size_t output_;
  std::vector<std::string> characters_;
  RunningMean lines_;
  double faults_ = 0, length_ = 0;
};

}  // namespace

std::unique_ptr<Metric> MakeCtc(const MetricOptions& options) {
  return std::make_unique<Ctc>(options);
}

std::vector<std::string> CtcCharacters(std::string_view characters) {
  std::vector<std::string> list{""};
  for (size_t begin = 0;;) {
    const size_t end = std::min(characters.find('\n', begin), characters.size());
    list.emplace_back(characters.substr(begin, end - begin));
    if (end == characters.size()) break;
    begin = end + 1;
  }
  list.emplace_back(" ");
  return list;
}

std::string CtcText(const Tensor& output, const std::vector<std::string>& characters) {
  const int64_t classes = output.shape().back(), steps = classes > 0 ? output.numel() / classes : 0;
  std::string text;
  int64_t last = 0;
  for (int64_t t = 0; t < steps; ++t) {
    const float* scores = output.data<float>() + t * classes;
    const int64_t best = std::max_element(scores, scores + classes) - scores;
    if (best != 0 && best != last)
      text += static_cast<size_t>(best) < characters.size() ? characters[static_cast<size_t>(best)]
                                                            : " ";
    last = best;
  }
  return text;
}

std::u32string CodePoints(std::string_view s) {
  std::u32string out;
  for (size_t i = 0; i < s.size();) {
    const auto lead = static_cast<unsigned char>(s[i]);
    const size_t more = lead >= 0xf0 && lead < 0xf8   ? 3
                        : lead >= 0xe0 && lead < 0xf0 ? 2
                                                      : lead >= 0xc0 && lead < 0xe0;
    char32_t c = lead & (more ? 0x3f >> more : 0xff);
    bool whole = i + more < s.size();
    for (size_t j = 1; whole && j <= more; ++j) {
      whole = (s[i + j] & 0xc0) == 0x80;
      c = c << 6 | (s[i + j] & 0x3f);
    }
    out += whole ? c : lead;
    i += whole ? more + 1 : 1;
  }
  return out;
}

size_t EditDistance(const std::u32string& a, const std::u32string& b) {
  std::vector<size_t> row(b.size() +
                          1);  // distances of a's first i characters to all beginnings of b
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({diagonal + 1, row[j] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace mezzo
