#include "mezzo/runtime/gradient/gradient.h"

#include <unordered_map>
#include <utility>

#include "mezzo/runtime/gradient/rule.h"

namespace mezzo {

bool HasGradient(const Node& node) {
  return node.Is("If") || GradientTable::Get().Find(node) != nullptr;
}

struct Gradient::Program {
  // A branch of an If as a graph on its own, which what it captures enters: as an input, or as an
  // initializer if it is one. It is run again on the way back.
  struct Branch {
    Graph graph;
    std::unique_ptr<Gradient> gradient;
  };
  struct Step {
    const Node* node;
    bool follows = false;  // gradients pass: by the rule, or the branches
    GradientRule rule = nullptr;
    std::map<std::string, Branch> branches;  // of an If, by attribute
    std::vector<int> inputs, outputs;        // inputs: then what branches capture
    std::vector<char> wanted, constant;
    std::vector<int> last;  // wanted initializers that no earlier node reads
    mutable NodeState state;
  };

  const Graph& graph;
  Threads threads;
  Session session;
  std::unordered_map<std::string, int> slot_of;
  std::vector<std::string> names;  // by slot
  std::vector<std::unique_ptr<Step>> steps;
  std::unordered_map<const Node*, const Step*> step_of;
  std::vector<char> wanted, depends;  // by slot; `depends` on a wanted one, or is one
  std::vector<int> at_end;            // wanted: graph inputs, initializers that no step reads

  Program(const Graph& g, const std::set<std::string>& values, Threads t)
      : graph(g), threads(t), session(g, {t}) {
    for (const auto& [name, tensor] : g.initializers) Slot(name);
    for (const ValueInfo& in : g.inputs) Slot(in.name);
    for (const Node& node : g.nodes)
      for (const std::string& out : node.outputs) Slot(out);
    wanted.assign(names.size(), 0);
    for (const std::string& v : values) {
      const auto it = slot_of.find(v);
      Require(it != slot_of.end(), "gradient: the graph has no value ", v);
      wanted[it->second] = 1;
    }
    depends = wanted;
    for (const Node& node : g.nodes) AddStep(node);
    std::vector<char> read(names.size(), 0);
    for (const auto& step : steps)
      for (const int slot : step->inputs)
        if (step->follows && slot >= 0 && wanted[slot] && g.initializers.contains(names[slot]) &&
            !std::exchange(read[slot], 1))
          step->last.push_back(slot);
    for (const ValueInfo& in : g.inputs) at_end.push_back(Slot(in.name));
    for (const auto& [name, tensor] : g.initializers)
      if (!read[Slot(name)]) at_end.push_back(Slot(name));
  }

  int Slot(const std::string& name) {
    if (name.empty()) return -1;
    const auto [it, fresh] = slot_of.emplace(name, static_cast<int>(names.size()));
    if (fresh) names.push_back(name);
    return it->second;
  }

  void AddStep(const Node& node) {
    auto step = std::make_unique<Step>();
    step->node = &node;
    std::vector<std::string> read = node.inputs;
    for (const std::string& captured : Captures(node)) read.push_back(captured);
    bool any = false;
    for (const std::string& in : read) {
      const auto it = slot_of.find(in);
      const int slot = in.empty() || it == slot_of.end() ? -1 : it->second;
      step->inputs.push_back(slot);
      step->wanted.push_back(slot >= 0 && depends[slot]);
      step->constant.push_back(slot >= 0 && graph.initializers.contains(in));
      any = any || step->wanted.back();
    }
    for (const std::string& out : node.outputs) step->outputs.push_back(Slot(out));
    if (any && node.Is("If"))
      FollowBranches(*step);
    else if (any)
      FollowRule(*step);
    step_of[&node] = step.get();
    steps.push_back(std::move(step));
  }

  void FollowRule(Step& step) {
    const Node& node = *step.node;
    // what these make does not move with their inputs
    static const std::set<std::string> kConstant{
        "Shape",   "Size",        "ArgMax",         "ArgMin", "NonZero", "IsNaN", "IsInf", "Equal",
        "Greater", "LessOrEqual", "GreaterOrEqual", "Less",   "Not",     "And",   "Or",    "Xor"};
    if (kConstant.contains(node.op_type)) return;
    step.rule = GradientTable::Get().Find(node);
    Require(step.rule && Captures(node).empty(), "node ", node.name, " (", node.op_type,
            "): the operator has no gradient");
    step.follows = true;
    for (const int slot : step.outputs)
      if (slot >= 0) depends[slot] = 1;
  }

  void FollowBranches(Step& step) {
    for (const char* attribute : {"then_branch", "else_branch"}) {
      const Graph* original = step.node->Subgraph(attribute);
      Require(original, "node ", step.node->name, " (If): needs the graph attribute ", attribute);
      Require(original->outputs.size() == step.outputs.size(), "node ", step.node->name,
              " (If): ", step.outputs.size(), " outputs, a branch has ", original->outputs.size());
      Branch& branch = step.branches[attribute];
      branch.graph = *original;
      std::set<std::string> entering;
      for (const std::string& captured : Captures(*original)) {
        if (const Tensor* constant = graph.Initializer(captured))
          branch.graph.initializers[captured] = *constant;
        else
          branch.graph.inputs.push_back({captured});
        if (depends[slot_of.at(captured)]) entering.insert(captured);
      }
      branch.gradient = std::make_unique<Gradient>(branch.graph, entering, threads);
      const Program& inner = *branch.gradient->program_;
      for (size_t o = 0; o < step.outputs.size(); ++o)
        if (step.outputs[o] >= 0 && inner.depends[inner.slot_of.at(branch.graph.outputs[o].name)])
          depends[step.outputs[o]] = step.follows = true;
    }
  }

  // Hands add(slot, gradient) what the step's inputs get from the gradients of its outputs.
  template <class Add>
  void Pass(const Step& step, const Tape& tape, const std::vector<Tensor>& g,
            const Add& add) const {
    try {
      if (step.rule)
        PassRule(step, tape, g, add);
      else
        PassBranch(step, tape, g, add);
    } catch (const UsageError& e) {
      throw UsageError(
          Cat("gradient of node ", step.node->name, " (", step.node->op_type, "): ", e.what()));
    }
  }

  template <class Add>
  void PassRule(const Step& step, const Tape& tape, const std::vector<Tensor>& g,
                const Add& add) const {
    const auto values = [&](const std::vector<int>& slots) {
      std::vector<Tensor> t(slots.size());
      for (size_t i = 0; i < slots.size(); ++i)
        if (slots[i] >= 0) t[i] = tape.values[slots[i]];
      return t;
    };
    const std::vector<Tensor> in = values(step.inputs), out = values(step.outputs);
    GradientContext ctx{*step.node, in,          out,
                        g,          step.wanted, step.constant,
                        threads,    step.state,  std::vector<Tensor>(in.size())};
    step.rule(ctx);
    for (size_t i = 0; i < in.size(); ++i)
      if (step.wanted[i] && ctx.result[i].defined()) add(step.inputs[i], ctx.result[i]);
  }

  template <class Add>
  void PassBranch(const Step& step, const Tape& tape, const std::vector<Tensor>& g,
                  const Add& add) const {
    const bool condition = *tape.values[step.inputs[0]].data<bool>();
    const Branch& branch = step.branches.at(condition ? "then_branch" : "else_branch");
    TensorMap inputs;
    for (const ValueInfo& in : branch.graph.inputs)
      inputs[in.name] = tape.values[slot_of.at(in.name)];
    branch.gradient->Reverse(
        branch.gradient->Forward(inputs), g,
        [&](const std::string& captured, const Tensor& t) { add(slot_of.at(captured), t); });
  }
};

Gradient::Gradient(const Graph& graph, const std::set<std::string>& wanted, Threads threads)
    : program_(std::make_unique<Program>(graph, wanted, threads)) {}
Gradient::~Gradient() = default;

Tape Gradient::Forward(const TensorMap& inputs) const {
  const Program& p = *program_;
  Tape tape;
  tape.values.resize(p.names.size());
  for (const auto& [name, t] : p.graph.initializers) tape.values[p.slot_of.at(name)] = t;
  for (const auto& [name, t] : inputs) {
    const auto it = p.slot_of.find(name);
    if (it != p.slot_of.end()) tape.values[it->second] = t;
  }
  tape.outputs = p.session.Run(inputs, [&](const Node& node, size_t output, Tensor& value) {
    const auto it = p.step_of.find(&node);  // nodes of branches are not here
    if (it != p.step_of.end()) tape.values[it->second->outputs[output]] = value;
  });
  return tape;
}

const Tensor& Gradient::Value(const Tape& tape, const std::string& name) const {
  const auto it = program_->slot_of.find(name);
  Require(it != program_->slot_of.end(), "gradient: the graph has no value ", name);
  return tape.values[it->second];
}

void Gradient::Reverse(const Tape& tape, const std::vector<Tensor>& outputs,
                       const Take& take) const {
  const Program& p = *program_;
  std::vector<Tensor> g(p.names.size());
  const auto add = [&](int slot, const Tensor& t) {
    if (!g[slot].defined()) {
      g[slot] = t;
      return;
    }
    if (!g[slot].unique()) g[slot] = g[slot].Clone();
    Accumulate(g[slot], t, p.threads);
  };
  const auto finish = [&](int slot) {
    if (p.wanted[slot] && g[slot].defined()) take(p.names[slot], g[slot]);
  };
  Require(outputs.size() == p.graph.outputs.size(), "gradient: ", outputs.size(), " gradients for ",
          p.graph.outputs.size(), " outputs");
  for (size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i].defined()) add(p.slot_of.at(p.graph.outputs[i].name), outputs[i]);

  std::vector<Tensor> g_out;
  for (size_t s = p.steps.size(); s-- > 0;) {
    const Program::Step& step = *p.steps[s];
    g_out.assign(step.outputs.size(), {});
    bool any = false;
    for (size_t o = 0; o < g_out.size(); ++o) {
      const int slot = step.outputs[o];
      if (slot < 0) continue;
      finish(slot);
      g_out[o] = std::exchange(g[slot], {});
      any = any || g_out[o].defined();
    }
    if (step.follows && any) p.Pass(step, tape, g_out, add);
    for (const int slot : step.last) {
      finish(slot);
      g[slot] = {};
    }
  }
  for (const int slot : p.at_end) finish(slot);
}

}  // namespace mezzo
