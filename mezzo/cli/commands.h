// A file per subcommand; each adds itself to the program.
#pragma once

namespace CLI {
class App;
}

namespace mezzo {

// Parses the command line and runs it. 0, 1 after an error (reported on standard error as "mezzo:
// ..."), 2 for a wrong command line.
int Main(int argc, char** argv);

void AddInspect(CLI::App& app);
void AddQuantize(CLI::App& app);
void AddPlan(CLI::App& app);
void AddConvert(CLI::App& app);
void AddEvaluate(CLI::App& app);
void AddCompare(CLI::App& app);
void AddBench(CLI::App& app);
void AddGenerate(CLI::App& app);
void AddSimulate(CLI::App& app);

}  // namespace mezzo
