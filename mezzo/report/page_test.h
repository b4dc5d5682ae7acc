// What the tests of all pages share.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace mezzo {

inline constexpr char kHostile[] =
    "</script><script>alert(1)</script><img src=x onerror='alert(2)'>&\"";

inline size_t CountOf(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

// What the page's script draws from.
inline nlohmann::json JsonOf(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"report\">";
  const size_t begin = page.find(open);
  if (begin == page.npos) return nullptr;
  const size_t from = begin + open.size();
  return nlohmann::json::parse(page.substr(from, page.find("</script>", from) - from));
}

inline void ExpectAsksForNothing(const std::string& page) {
  EXPECT_EQ(page.find("://"), page.find("://www.w3.org/2000/svg")) << "only the name of SVG";
  EXPECT_EQ(CountOf(page, "://"), 1u);
  for (const char* loads : {"<link", " src=", "@import", "url(", "fetch(", "innerHTML"})
    EXPECT_EQ(page.find(loads), page.npos) << loads;
}

}  // namespace mezzo
