// mezzo: the command line.
#include <malloc.h>

#include <cstdio>

#include "mezzo/cli/commands.h"

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // whoever follows a file sees each line as it is said
  // the tensors of one run are those of the next: giving their pages back in between costs more
  // than small layers take
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  return mezzo::Main(argc, argv);
}
