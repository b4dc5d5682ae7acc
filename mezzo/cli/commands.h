// A file per subcommand; each adds itself to the program.
#pragma once

namespace mezzo {

// Parses the command line and runs it. 0, 1 after an error (reported on standard error as "mezzo: ..."), 2 for a
// wrong command line, 130 when interrupted.
int Main(int argc, char** argv);

}  // namespace mezzo
