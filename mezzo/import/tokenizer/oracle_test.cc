// The ids and texts of the `tokenizers` package, for tokenizers with every option that is supported
// and hostile texts: `python tools/tokenizer_cases.py OUT` writes them into MEZZO_TOKENIZER_TESTS.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "mezzo/base/files.h"
#include "mezzo/import/tokenizer/token_stream.h"
#include "mezzo/import/tokenizer/tokenizer.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

TEST(TokenizerOracle, IdsAndTextsAreThoseOfThePackage) {
  const char* root = std::getenv("MEZZO_TOKENIZER_TESTS");
  if (!root || !fs::is_directory(root))
    GTEST_SKIP() << "MEZZO_TOKENIZER_TESTS does not name a folder of tokenizers";
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(root)) {
    const Tokenizer tokenizer = ReadTokenizer(entry.path());
    const auto cases = nlohmann::json::parse(ReadFile(entry.path() / "cases.json"));
    for (const auto& [index, c] : cases.items()) {
      const auto text = c[0].get<std::string>();
      const auto ids = c[1].get<std::vector<int32_t>>(), special = c[2].get<std::vector<int32_t>>();
      const std::string where = entry.path().filename().string() + ", case " + index;
      ASSERT_EQ(tokenizer.Encode(text, false), ids) << where;
      ASSERT_EQ(tokenizer.Encode(text, true), special) << where;
      ASSERT_EQ(tokenizer.Decode(ids), c[3].get<std::string>()) << where;
      if (c[3].get<std::string>().find("\uFFFD") == std::string::npos) {
        TokenStream stream(tokenizer);
        std::string streamed;
        for (const int32_t id : ids) streamed += stream.Push(id);
        ASSERT_EQ(streamed + stream.Finish(), c[3].get<std::string>()) << where;
      }
      ++count;
    }
  }
  EXPECT_GT(count, 0u);
}

}  // namespace
}  // namespace mezzo
