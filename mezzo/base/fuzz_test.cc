// Replays the seed corpora of all fuzz targets: files named ok_* must be accepted, bad_* refused;
// others, what fuzzing found, only have to come through.
#include "mezzo/base/fuzz.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "mezzo/base/files.h"

namespace mezzo {
namespace {

TEST(Fuzz, EveryCorpusReplays) {
  const std::filesystem::path root = std::filesystem::path(MEZZO_SOURCE_DIR) / "tests" / "corpus";
  ASSERT_FALSE(FuzzTargets().empty());
  for (const auto& [name, body] : FuzzTargets()) {
    size_t files = 0;
    ASSERT_TRUE(std::filesystem::is_directory(root / name))
        << "no corpus for the fuzz target " << name;
    for (const auto& entry : std::filesystem::directory_iterator(root / name)) {
      const std::string file = entry.path().filename().string(), text = ReadFile(entry.path());
      const bool accepted =
          RunFuzzBody(body, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
      if (file.starts_with("ok_")) {
        EXPECT_TRUE(accepted) << name << "/" << file << " was refused";
      }
      if (file.starts_with("bad_")) {
        EXPECT_FALSE(accepted) << name << "/" << file << " was accepted";
      }
      ++files;
    }
    EXPECT_GT(files, 0u) << "the corpus of " << name << " is empty";
  }
}

}  // namespace
}  // namespace mezzo
