# The pages of reports, compiled in: mezzo/report/page/* become string constants in page_assets.inc, every byte escaped.
set(EMBED_DIR ${CMAKE_BINARY_DIR}/embedded)
set(EMBED_TEXT "// Made by cmake/embed.cmake from mezzo/report/page.\n")
foreach(pair kPageHtml=page.html kQuantizeHtml=quantize.html kPlanHtml=plan.html kPageCss=page.css
        kChartsJs=charts.js kPageJs=page.js kHistogramsJs=histograms.js kQuantizeJs=quantize.js kPlanJs=plan.js
        kSimulateHtml=simulate.html kSimulateJs=simulate.js kBenchHtml=bench.html kBenchJs=bench.js)
  string(REGEX MATCH "^([^=]+)=(.+)$" _ ${pair})
  set(constant ${CMAKE_MATCH_1})
  set(path ${CMAKE_SOURCE_DIR}/mezzo/report/page/${CMAKE_MATCH_2})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  file(READ ${path} content HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" content "${content}")
  string(APPEND EMBED_TEXT "inline constexpr char ${constant}[] = \"${content}\";\n")
endforeach()
file(CONFIGURE OUTPUT ${EMBED_DIR}/page_assets.inc CONTENT "${EMBED_TEXT}" @ONLY)
target_include_directories(mezzo_lib PRIVATE ${EMBED_DIR})
