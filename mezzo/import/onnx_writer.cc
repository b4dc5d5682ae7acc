#include "mezzo/import/onnx_writer.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <optional>

#include "mezzo/base/files.h"
#include "mezzo/import/onnx_proto.h"

namespace mezzo {
namespace {

constexpr size_t kPage = 4096;  // external tensors start on pages, so that they can be mapped

// Writes weights into the message, or, for large models, to a file beside it.
struct WeightWriter {
  AtomicWriter* external = nullptr;
  std::string location;
  size_t offset = 0;

  void Write(const std::string& name, const Tensor& tensor, onnx::TensorProto* proto) {
    const Tensor t = tensor.ToLayout(Layout::kPlain);
    proto->set_name(name);
    proto->set_data_type(static_cast<int>(t.dtype()));
    for (const int64_t d : t.shape()) proto->add_dims(d);
    if (!external || t.bytes() < 1024) {
      proto->set_raw_data(t.raw(), t.bytes());
      return;
    }
    const size_t padding = (kPage - offset % kPage) % kPage;
    external->Write(std::string(padding, '\0'));
    offset += padding;
    external->Write(t.raw(), t.bytes());
    proto->set_data_location(onnx::TensorProto::EXTERNAL);
    const auto add = [&](const char* key, const std::string& value) {
      auto* entry = proto->add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    };
    add("location", location);
    add("offset", std::to_string(offset));
    add("length", std::to_string(t.bytes()));
    offset += t.bytes();
  }
};

void WriteValue(const ValueInfo& info, onnx::ValueInfoProto* proto) {
  proto->set_name(info.name);
  if (info.dtype == DType::kNone) return;
  auto* type = proto->mutable_type()->mutable_tensor_type();
  type->set_elem_type(static_cast<int>(info.dtype));
  if (!info.has_shape) return;
  auto* shape = type->mutable_shape();
  for (size_t i = 0; i < info.shape.size(); ++i) {
    auto* dim = shape->add_dim();
    if (info.shape[i] >= 0)
      dim->set_dim_value(info.shape[i]);
    else if (i < info.dim_names.size() && !info.dim_names[i].empty())
      dim->set_dim_param(info.dim_names[i]);
  }
}

void WriteGraph(const Graph& graph, WeightWriter& weights, onnx::GraphProto* proto);

struct AttributeWriter {
  WeightWriter& weights;
  onnx::AttributeProto* a;
  using A = onnx::AttributeProto;

  void operator()(int64_t v) const { a->set_type(A::INT), a->set_i(v); }
  void operator()(float v) const { a->set_type(A::FLOAT), a->set_f(v); }
  void operator()(const std::string& v) const { a->set_type(A::STRING), a->set_s(v); }
  void operator()(const std::vector<int64_t>& v) const {
    a->set_type(A::INTS);
    a->mutable_ints()->Add(v.begin(), v.end());
  }
  void operator()(const std::vector<float>& v) const {
    a->set_type(A::FLOATS);
    a->mutable_floats()->Add(v.begin(), v.end());
  }
  void operator()(const std::vector<std::string>& v) const {
    a->set_type(A::STRINGS);
    for (const std::string& s : v) a->add_strings(s);
  }
  void operator()(const Tensor& v) const {
    a->set_type(A::TENSOR);
    WeightWriter inline_only;
    inline_only.Write("", v, a->mutable_t());
  }
  void operator()(const std::shared_ptr<const Graph>& v) const {
    a->set_type(A::GRAPH);
    WriteGraph(*v, weights, a->mutable_g());
  }
};

void WriteGraph(const Graph& graph, WeightWriter& weights, onnx::GraphProto* proto) {
  proto->set_name(graph.name.empty() ? "graph" : graph.name);
  for (const ValueInfo& in : graph.inputs) WriteValue(in, proto->add_input());
  for (const ValueInfo& out : graph.outputs) WriteValue(out, proto->add_output());
  for (const auto& [name, tensor] : graph.initializers)
    weights.Write(name, tensor, proto->add_initializer());
  for (const Node& node : graph.nodes) {
    auto* n = proto->add_node();
    n->set_op_type(node.op_type);
    if (!node.domain.empty()) n->set_domain(node.domain);
    if (!node.name.empty()) n->set_name(node.name);
    for (const std::string& in : node.inputs) n->add_input(in);
    for (const std::string& out : node.outputs) n->add_output(out);
    for (const auto& [name, attribute] : node.attributes) {
      auto* a = n->add_attribute();
      a->set_name(name);
      std::visit(AttributeWriter{weights, a}, attribute);
    }
  }
}

size_t WeightBytes(const Graph& graph) {
  size_t total = 0;
  for (const auto& [name, t] : graph.initializers) total += t.bytes();
  for (const Node& node : graph.nodes)
    for (const auto& [name, attribute] : node.attributes)
      if (const auto* sub = std::get_if<std::shared_ptr<const Graph>>(&attribute))
        total += WeightBytes(**sub);
  return total;
}

// IR version that goes with an opset (onnx.proto, "Version", and the release table of ONNX's
// Versioning.md).
int64_t IrVersion(int64_t opset) { return opset >= 25 ? 12 : opset >= 23 ? 11 : 10; }

void WriteHead(const Model& model, onnx::ModelProto& proto) {
  proto.set_ir_version(IrVersion(model.opset));
  proto.set_producer_name("mezzo");
  auto* opset = proto.add_opset_import();
  opset->set_domain("");
  opset->set_version(model.opset);
  for (const auto& [domain, version] : model.other_opsets) {
    auto* other = proto.add_opset_import();
    other->set_domain(domain);
    other->set_version(version);
  }
  for (const auto& [key, value] : model.metadata) {
    auto* entry = proto.add_metadata_props();
    entry->set_key(key);
    entry->set_value(value);
  }
}

}  // namespace

size_t OnnxBytes(const Model& model) {
  onnx::ModelProto proto;
  WriteHead(model, proto);
  WeightWriter weights;
  WriteGraph(model.graph, weights, proto.mutable_graph());
  return proto.ByteSizeLong();
}

size_t OnnxBytes(const Graph& graph) {
  onnx::GraphProto proto;
  WeightWriter weights;
  WriteGraph(graph, weights, &proto);
  return proto.ByteSizeLong();
}

std::vector<std::filesystem::path> WriteOnnx(const Model& model, const std::filesystem::path& path,
                                             size_t max_inline) {
  onnx::ModelProto proto;
  WriteHead(model, proto);
  WeightWriter weights;
  std::vector<std::filesystem::path> files{path};
  std::optional<AtomicWriter> external;
  if (WeightBytes(model.graph) > max_inline) {
    files.push_back(path.string() + ".data");
    external.emplace(files.back());
    weights.external = &*external;
    weights.location = files.back().filename().string();
  }
  WriteGraph(model.graph, weights, proto.mutable_graph());

  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    RequireFile(proto.SerializeToCodedStream(&coded), path.string(),
                ": cannot serialize the model");
  }
  AtomicWriter out(path);
  out.Write(bytes);
  if (external) external->Commit();
  out.Commit();
  return files;
}

}  // namespace mezzo
