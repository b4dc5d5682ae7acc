// mezzo: the command line.
#include <cstdio>

#include "mezzo/cli/commands.h"

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // whoever follows a file sees each line as it is said
  return mezzo::Main(argc, argv);
}
