#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <new>

#include "mezzo/base/error.h"
#include "mezzo/cli/commands.h"

namespace mezzo {

int Main(int argc, char** argv) {
  ::signal(SIGXFSZ, SIG_IGN);  // a file over the limit is then an error of write(), with its name
  CLI::App app{"Takes trained networks to few bits, proves what it promised, and runs them"};
  app.name("mezzo");
  app.set_version_flag("--version", "mezzo 0.1.0");
  app.require_subcommand(1);
  AddInspect(app);
  AddQuantize(app);
  AddPlan(app);
  AddConvert(app);
  AddEvaluate(app);
  AddCompare(app);
  AddBench(app);
  AddGenerate(app);
  AddSimulate(app);
  try {
    app.parse(argc, argv);
    RequireFile(std::fflush(stdout) == 0 && !std::ferror(stdout),
                "standard output: cannot be written");
    return 0;
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "mezzo: out of memory\n");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "mezzo: %s\n", e.what());
  }
  return 1;
}

}  // namespace mezzo
