#include "mezzo/import/onnx_reader.h"

#include <google/protobuf/io/coded_stream.h>

#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "mezzo/base/files.h"
#include "mezzo/graph/upgrade.h"
#include "mezzo/import/onnx_proto.h"
#include "mezzo/import/onnx_tensor.h"

namespace mezzo {
namespace {

constexpr int64_t kOldestOpset = 7, kNewestOpset = 23;

template <class Message>
Message Parse(std::span<const uint8_t> bytes, const std::filesystem::path& path) {
  RequireFile(
      bytes.size() <= std::numeric_limits<int>::max(), path.string(), ": ", bytes.size(),
      " bytes; a protobuf file holds at most 2 GB (larger models keep weights in external data)");
  Message message;
  google::protobuf::io::CodedInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  RequireFile(
      bytes.size() > 0 && message.ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage(),
      path.string(), ": not an ONNX file, or truncated (", bytes.size(), " bytes)");
  return message;
}

class Reader {
 public:
  Reader(const std::filesystem::path& path) : path_(path), tensors_(path) {}

  Graph ReadGraph(const onnx::GraphProto& proto) {
    Graph graph;
    graph.name = proto.name();
    RequireFile(proto.sparse_initializer_size() == 0, path_.string(), ": graph ", graph.name,
                ": sparse initializers are not supported");
    for (const auto& t : proto.initializer()) graph.initializers[t.name()] = tensors_.Decode(t);
    for (const auto& v : proto.input())
      if (!graph.initializers.contains(v.name())) graph.inputs.push_back(ReadValue(v));
    for (const auto& v : proto.output()) graph.outputs.push_back(ReadValue(v));
    std::unordered_set<std::string> names, values;
    for (const ValueInfo& in : graph.inputs)
      RequireFile(values.insert(in.name).second, path_.string(), ": input ", in.name,
                  " appears twice");
    for (const auto& n : proto.node()) ReadNode(n, graph, names, values);
    return graph;
  }

  std::vector<std::filesystem::path> Files() const {
    std::vector<std::filesystem::path> files = tensors_.ExternalFiles();
    files.insert(files.begin(), path_);
    return files;
  }

 private:
  ValueInfo ReadValue(const onnx::ValueInfoProto& proto) {
    ValueInfo info;
    info.name = proto.name();
    if (!proto.type().has_tensor_type()) return info;
    const auto& type = proto.type().tensor_type();
    info.dtype = static_cast<DType>(type.elem_type());
    info.has_shape = type.has_shape();
    for (const auto& d : type.shape().dim()) {
      const bool known = d.has_dim_value();
      RequireFile(!known || d.dim_value() >= -1, path_.string(), ": value ", info.name,
                  ": impossible dimension ", d.dim_value());
      info.shape.push_back(known ? d.dim_value() : -1);
      info.dim_names.push_back(d.dim_param());
    }
    return info;
  }

  void ReadNode(const onnx::NodeProto& proto, Graph& graph, std::unordered_set<std::string>& names,
                std::unordered_set<std::string>& values) {
    Node node;
    node.op_type = proto.op_type();
    node.domain = proto.domain() == "ai.onnx" ? "" : proto.domain();
    node.inputs.assign(proto.input().begin(), proto.input().end());
    node.outputs.assign(proto.output().begin(), proto.output().end());
    const std::string first = node.outputs.empty() ? "" : node.outputs[0];
    node.name = proto.name().empty() ? Cat(node.op_type, "_", first) : proto.name();
    for (int i = 2; !names.insert(node.name).second; ++i)
      node.name = Cat(proto.name().empty() ? Cat(node.op_type, "_", first) : proto.name(), "_", i);
    RequireFile(!node.outputs.empty(), path_.string(), ": node ", node.name, " (", node.op_type,
                ") makes nothing");
    for (const std::string& out : node.outputs)
      RequireFile(out.empty() || (values.insert(out).second && !graph.initializers.contains(out)),
                  path_.string(), ": node ", node.name, " makes value ", out,
                  ", which exists already");
    if (node.Is("Constant") && proto.attribute_size() == 1 &&
        ReadConstant(proto.attribute(0), node, graph))
      return;
    for (const auto& a : proto.attribute()) ReadAttribute(a, node);
    graph.nodes.push_back(std::move(node));
  }

  // False if the constant is of a kind (strings, sparse) that only matters if it is used.
  bool ReadConstant(const onnx::AttributeProto& a, const Node& node, Graph& graph) {
    Tensor& t = graph.initializers[node.outputs[0]];
    if (a.name() == "value" && a.t().data_type() != onnx::TensorProto::STRING) {
      onnx::TensorProto named = a.t();
      named.set_name(node.outputs[0]);
      t = tensors_.Decode(named);
    } else if (a.name() == "value_float") {
      t = Tensor::Scalar(a.f());
    } else if (a.name() == "value_int") {
      t = Tensor::Scalar<int64_t>(a.i());
    } else if (a.name() == "value_floats") {
      t = Tensor::Vector(std::vector<float>(a.floats().begin(), a.floats().end()));
    } else if (a.name() == "value_ints") {
      t = Tensor::Vector(std::vector<int64_t>(a.ints().begin(), a.ints().end()));
    } else {
      graph.initializers.erase(node.outputs[0]);
      return false;
    }
    return true;
  }

  void ReadAttribute(const onnx::AttributeProto& a, Node& node) {
    using A = onnx::AttributeProto;
    Attribute& value = node.attributes[a.name()];
    switch (a.type()) {
      case A::INT:
        value = int64_t{a.i()};
        break;
      case A::FLOAT:
        value = a.f();
        break;
      case A::STRING:
        value = a.s();
        break;
      case A::INTS:
        value = std::vector<int64_t>(a.ints().begin(), a.ints().end());
        break;
      case A::FLOATS:
        value = std::vector<float>(a.floats().begin(), a.floats().end());
        break;
      case A::STRINGS:
        value = std::vector<std::string>(a.strings().begin(), a.strings().end());
        break;
      case A::TENSOR:
        value = tensors_.Decode(a.t());
        break;
      case A::GRAPH:
        value = std::make_shared<const Graph>(ReadGraph(a.g()));
        break;
      default:
        // Kept out of the IR; an operator that needs it says so by name when it is not there.
        node.attributes.erase(a.name());
    }
  }

  std::filesystem::path path_;
  TensorDecoder tensors_;
};

// Sorts the graph and its subgraphs; `outer` is what the graphs around it define.
void SortAll(Graph& graph, std::vector<std::string> outer) {
  SortNodes(graph, outer);
  for (const ValueInfo& in : graph.inputs) outer.push_back(in.name);
  for (const auto& [name, tensor] : graph.initializers) outer.push_back(name);
  for (const Node& node : graph.nodes)
    outer.insert(outer.end(), node.outputs.begin(), node.outputs.end());
  for (Node& node : graph.nodes)
    for (auto& [name, attribute] : node.attributes)
      if (auto* sub = std::get_if<std::shared_ptr<const Graph>>(&attribute)) {
        auto copy = std::make_shared<Graph>(**sub);
        SortAll(*copy, outer);
        *sub = copy;
      }
  std::unordered_set<std::string> known(outer.begin(), outer.end());
  for (const ValueInfo& out : graph.outputs)
    Require(known.contains(out.name), "output ", out.name, " is made by no node");
}

}  // namespace

Model ReadOnnx(const std::filesystem::path& path, std::vector<std::filesystem::path>* files) {
  const MappedFile file(path);
  return ParseOnnx(file.bytes(), path, files);
}

Model ParseOnnx(std::span<const uint8_t> bytes, const std::filesystem::path& path,
                std::vector<std::filesystem::path>* files) {
  const auto proto = Parse<onnx::ModelProto>(bytes, path);
  RequireFile(proto.has_graph() && proto.opset_import_size() > 0, path.string(),
              ": not an ONNX model: it has no ", proto.has_graph() ? "opset" : "graph");
  Model model;
  model.path = path.string();
  model.producer = proto.producer_name();
  for (const auto& opset : proto.opset_import()) {
    if (opset.domain().empty() || opset.domain() == "ai.onnx")
      model.original_opset = opset.version();
    else
      model.other_opsets[opset.domain()] = opset.version();
  }
  RequireFile(model.original_opset == 0 || (model.original_opset >= kOldestOpset &&
                                            model.original_opset <= kNewestOpset + 3),
              path.string(), ": opset ", model.original_opset, " is not supported; ", kOldestOpset,
              " to ", kNewestOpset, " are");
  RequireFile(proto.functions_size() == 0, path.string(),
              ": model-local functions are not supported (",
              proto.functions_size() ? proto.functions(0).name() : "", "); inline them first");
  for (const auto& entry : proto.metadata_props()) model.metadata[entry.key()] = entry.value();
  try {
    Reader reader(path);
    model.graph = reader.ReadGraph(proto.graph());
    if (files) *files = reader.Files();
    UpgradeOperators(model.graph, model.original_opset);
    model.opset = std::max<int64_t>(model.original_opset, 21);
    SortAll(model.graph, {});
  } catch (const UsageError& e) {
    throw FileError(Cat(path.string(), ": ", e.what()));
  }
  return model;
}

Tensor ReadTensorProto(const std::filesystem::path& path) {
  const MappedFile file(path);
  return TensorDecoder(path).Decode(Parse<onnx::TensorProto>(file.bytes(), path));
}

}  // namespace mezzo
