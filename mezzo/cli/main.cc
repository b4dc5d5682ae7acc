// mezzo: the command line.
#include "mezzo/cli/commands.h"

int main(int argc, char** argv) { return mezzo::Main(argc, argv); }
