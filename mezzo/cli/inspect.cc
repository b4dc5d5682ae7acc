// mezzo inspect: what a model is made of, and what of it can be run.
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "mezzo/cli/commands.h"
#include "mezzo/cli/options.h"
#include "mezzo/import/onnx_reader.h"
#include "mezzo/runtime/fold_constants.h"
#include "mezzo/runtime/macs.h"

namespace mezzo {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string model;
  std::vector<std::string> shapes;  // NAME=1,3,224,224
  bool json = false;
};

Json Describe(const ValueInfo& v) {
  Json dims = Json::array();
  for (size_t i = 0; i < v.shape.size(); ++i)
    v.shape[i] >= 0 ? dims.push_back(v.shape[i])
                    : dims.push_back(v.dim_names[i].empty() ? "?" : v.dim_names[i]);
  return {{"name", v.name},
          {"type", std::string(Name(v.dtype))},
          {"shape", v.has_shape ? dims : Json(nullptr)}};
}

void Run(const Options& o) {
  const Model model = ReadOnnx(o.model);
  std::map<std::string, int64_t> operators, weight_types;
  for (const Node& n : model.graph.nodes)
    ++operators[n.domain.empty() ? n.op_type : n.domain + ":" + n.op_type];
  int64_t parameters = 0;
  for (const auto& [name, t] : model.graph.initializers) {
    parameters += t.numel();
    weight_types[std::string(Name(t.dtype()))] += static_cast<int64_t>(t.bytes());
  }
  const auto unsupported = UnsupportedOperators(model.graph);
  Json json{{"model", o.model}, {"opset", model.original_opset}, {"producer", model.producer}};
  for (const ValueInfo& v : model.graph.inputs) json["inputs"].push_back(Describe(v));
  for (const ValueInfo& v : model.graph.outputs) json["outputs"].push_back(Describe(v));
  json["operators"] = operators;
  json["unsupported"] = unsupported;
  json["parameters"] = parameters;
  json["weight_bytes"] = weight_types;
  std::string why_no_macs;
  if (unsupported.empty()) try {
      Graph graph = model.graph;
      FoldConstants(graph);
      const auto macs =
          CountMacs(graph, Session(graph, {}), ShapedInputs(graph, o.shapes, &Tensor::Zeros));
      int64_t total = 0;
      for (const auto& [name, n] : macs) total += n;
      json["macs"] = total;
      json["macs_by_node"] = macs;
    } catch (const std::exception& e) {
      why_no_macs = e.what();
    }
  if (o.json) {
    std::printf("%s\n", json.dump(1).c_str());
    return;
  }
  std::printf("%s: opset %ld, %zu nodes, %s parameters\n", o.model.c_str(), model.original_opset,
              model.graph.nodes.size(), Count(static_cast<double>(parameters)).c_str());
  for (const char* side : {"inputs", "outputs"})
    for (const Json& v : json[side])
      std::printf("%-8s %s %s %s\n", side, v["name"].get<std::string>().c_str(),
                  v["type"].get<std::string>().c_str(), v["shape"].dump().c_str());
  std::printf("operators:");
  for (const auto& [name, n] : operators) std::printf(" %s %ld", name.c_str(), n);
  std::printf("\nweights:");
  for (const auto& [type, bytes] : weight_types)
    std::printf(" %s %s", type.c_str(), Bytes(static_cast<double>(bytes)).c_str());
  std::printf("\n");
  if (json.contains("macs"))
    std::printf("multiply-adds: %s\n", Count(json["macs"].get<double>()).c_str());
  if (!why_no_macs.empty())
    std::printf("multiply-adds: unknown, a run on zeros failed (%s); try --shape NAME=1,3,48,320\n",
                why_no_macs.c_str());
  std::printf("unsupported operators: %s\n", unsupported.empty() ? "none" : "");
  for (const std::string& name : unsupported) std::printf("  %s\n", name.c_str());
}

}  // namespace

void AddInspect(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand(
      "inspect", "Operators, shapes, parameters, multiply-adds; what is supported");
  auto o = std::make_shared<Options>();
  cmd->add_option("model", o->model, "ONNX model")->required();
  cmd->add_option("--shape", o->shapes,
                  "NAME=1,3,224,224 for inputs with unknown dimensions (default: 1 each)");
  cmd->add_flag("--json", o->json);
  cmd->callback([o] { Run(*o); });
}

}  // namespace mezzo
