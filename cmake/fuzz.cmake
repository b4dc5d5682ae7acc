# libFuzzer targets: every mezzo/**/NAME_fuzz.cc becomes the executable NAME_fuzz (clang, MEZZO_FUZZ=ON):
#   cmake -B build-fuzz -G Ninja -DMEZZO_FUZZ=ON -DCMAKE_CXX_COMPILER=clang++ && ninja -C build-fuzz fuzz
#   build-fuzz/npy_fuzz -max_total_time=60 /tmp/found tests/corpus/npy
file(GLOB_RECURSE FUZZERS CONFIGURE_DEPENDS mezzo/*_fuzz.cc)
if(MEZZO_FUZZ)
  add_custom_target(fuzz)
  foreach(source ${FUZZERS})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_compile_definitions(${name} PRIVATE MEZZO_FUZZ_MAIN)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer,address)
    target_link_libraries(${name} PRIVATE mezzo_lib)
    add_dependencies(fuzz ${name})
  endforeach()
endif()
