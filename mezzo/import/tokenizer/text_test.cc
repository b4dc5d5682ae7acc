// Unicode and regular expressions.
#include <gtest/gtest.h>

#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/regex.h"
#include "mezzo/import/tokenizer/unicode.h"

namespace mezzo {
namespace {

TEST(Unicode, IllFormedSequencesAreReplacedOneByOne) {
  const std::string r(kReplacementCharacter);
  const std::pair<std::string, std::string> cases[] = {
      {"", ""},
      {"aé中🎉", "aé中🎉"},
      {"\x80", r},
      {"\xC0\xAF", r + r},                                            // overlong
      {"\xE0\x80\xAF", r + r + r},                                    // overlong
      {"\xED\xA0\x80", r + r + r},                                    // a surrogate
      {"\xF4\x90\x80\x80", r + r + r + r},                            // past U+10FFFF
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", r + r + r + r + "A"},  // the standard's table 3-11
      {"a\xF0\x9F\x8E", "a" + r},
  };
  for (const auto& [bytes, want] : cases) EXPECT_EQ(ReplaceInvalidUtf8(bytes), want);
}

TEST(Unicode, NormalForms) {
  EXPECT_EQ(Normalize("e\u0301 \uFB01", NormalForm::kNfc), "\u00E9 \uFB01");
  EXPECT_EQ(Normalize("\u00E9 \uFB01", NormalForm::kNfd), "e\u0301 \uFB01");
  EXPECT_EQ(Normalize("e\u0301 \uFB01", NormalForm::kNfkc), "\u00E9 fi");
  EXPECT_EQ(Normalize("\u00E9 \uFB01", NormalForm::kNfkd), "e\u0301 fi");
  // A mark of Unicode 11 is not sorted before one that was there in Unicode 9.
  EXPECT_EQ(Normalize("a\u0301\U00010F4D", NormalForm::kNfd), "a\u0301\U00010F4D");
  EXPECT_EQ(Lowercase("ÀİΣ"), "ài\u0307σ");
}

std::vector<std::string> Matches(const std::string& pattern, const std::string& text) {
  std::vector<std::string> matches;
  std::string all;
  Regex(pattern, "test").ForEachSpan(text, [&](std::string_view part, bool match) {
    all += part;
    if (match) matches.emplace_back(part);
  });
  EXPECT_EQ(all, text);
  return matches;
}

TEST(Regex, MeansWhatOnigurumaMeans) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(Matches(R"(\s+)", "a \u3000\u0085b\u180Ec"), Texts{" \u3000\u0085"});
  EXPECT_EQ(Matches(R"([^\s\p{L}]+)", "a1\u180E b"), Texts{"1\u180E"});
  EXPECT_EQ(Matches(R"([\S])", "\u180E\u2000"), Texts{"\u180E"});
  EXPECT_EQ(Matches(R"(\w+)", "a\u0301_Ⅷ½"), Texts{"a\u0301_Ⅷ"});
  EXPECT_EQ(Matches(R"(\p{L}+)", "1\U00031350\u1C8A2"),
            Texts{"\U00031350\u1C8A"});                   // Unicode 15, 16
  EXPECT_EQ(Matches(R"(\p{Han})", "ー中"), Texts{"中"});  // not by script extension
  EXPECT_EQ(Matches("^a|b$", "a\na b\nb"), (Texts{"a", "a", "b", "b"}));
  EXPECT_EQ(Matches(R"(\v)", "\n\v"), Texts{"\v"});
  EXPECT_EQ(Matches("x*", "axb"), (Texts{"", "x", ""}));  // not again where the x ended
}

TEST(Regex, RefusesWhatItDoesNotKnow) {
  for (const char* pattern : {R"(\h)", R"(\b)", R"(\1)", R"(\X)", R"([a[b]])", "[a&&b]",
                              "[[:alpha:]]", "[]a]", "(?i)a", "(?<n>a)", "(*UTF)a", "a{,3}",
                              "a{2}+", "a{2}?", R"([\W])", "(a", "a{", R"(\p{Nothing})", R"(\)"})
    EXPECT_THROW(Regex(pattern, "test"), FileError) << pattern;
  EXPECT_THROW(Matches("(a+)+$", std::string(200, 'a') + "b"), UsageError);  // gives up, in time
}

}  // namespace
}  // namespace mezzo
