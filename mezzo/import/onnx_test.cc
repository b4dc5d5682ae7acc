// What is read, what is written, and every refusal of a malformed file.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "mezzo/base/error.h"
#include "mezzo/base/files.h"
#include "mezzo/import/onnx_proto.h"
#include "mezzo/import/onnx_reader.h"
#include "mezzo/import/onnx_writer.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

// relu(x * w) as opset 13
onnx::ModelProto Small() {
  onnx::ModelProto m;
  m.set_ir_version(8);
  m.add_opset_import()->set_version(13);
  auto* g = m.mutable_graph();
  g->set_name("small");
  auto* in = g->add_input();
  in->set_name("x");
  auto* type = in->mutable_type()->mutable_tensor_type();
  type->set_elem_type(1);
  type->mutable_shape()->add_dim()->set_dim_param("N");
  type->mutable_shape()->add_dim()->set_dim_value(2);
  g->add_output()->set_name("y");
  auto* w = g->add_initializer();
  w->set_name("w");
  w->set_data_type(1);
  w->add_dims(2);
  w->add_float_data(3);
  w->add_float_data(4);
  auto* mul = g->add_node();
  mul->set_op_type("Mul");
  mul->add_input("x");
  mul->add_input("w");
  mul->add_output("m");
  auto* relu = g->add_node();
  relu->set_op_type("Relu");
  relu->add_input("m");
  relu->add_output("y");
  return m;
}

class OnnxFile : public testing::Test {
 protected:
  fs::path Write(const onnx::ModelProto& m) { return WriteBytes(m.SerializeAsString()); }
  fs::path WriteBytes(const std::string& bytes) {
    const fs::path path = folder_.path() / "model.onnx";
    WriteFile(path, bytes);
    return path;
  }
  // The message with which the edited model is refused.
  std::string Refusal(const std::function<void(onnx::ModelProto&)>& edit) {
    onnx::ModelProto m = Small();
    edit(m);
    const fs::path path = Write(m);
    try {
      ReadOnnx(path);
      return "accepted";
    } catch (const FileError& e) {
      EXPECT_EQ(std::string(e.what()).rfind(path.string(), 0), 0u)
          << "does not begin with the path: " << e.what();
      return e.what();
    }
  }
  TemporaryFolder folder_;
};

TEST_F(OnnxFile, ReadsNodesNamesAndShapes) {
  const Model m = ReadOnnx(Write(Small()));
  ASSERT_EQ(m.graph.nodes.size(), 2u);
  EXPECT_EQ(m.graph.nodes[0].name, "Mul_m");
  EXPECT_EQ(m.original_opset, 13);
  ASSERT_EQ(m.graph.inputs.size(), 1u);
  EXPECT_EQ(m.graph.inputs[0].shape, (Shape{-1, 2}));
  EXPECT_EQ(m.graph.inputs[0].dim_names[0], "N");
  EXPECT_EQ(m.graph.Initializer("w")->data<float>()[1], 4);
}

TEST_F(OnnxFile, WrittenModelsReadBackEqualAndTwiceTheSame) {
  Model m = ReadOnnx(Write(Small()));
  m.metadata["character"] = "a\nb";
  const fs::path a = folder_.path() / "a.onnx", b = folder_.path() / "b.onnx";
  WriteOnnx(m, a);
  const Model back = ReadOnnx(a);
  WriteOnnx(back, b);
  EXPECT_EQ(ReadFile(a), ReadFile(b));
  EXPECT_EQ(back.metadata.at("character"), "a\nb");
  EXPECT_EQ(back.opset, 21);
}

// No prefix of a model may crash the reader; the ones that happen to parse lack something and are
// refused.
TEST_F(OnnxFile, RefusesEveryTruncation) {
  const std::string bytes = Small().SerializeAsString();
  for (size_t n = 0; n < bytes.size(); ++n)
    EXPECT_THROW(ReadOnnx(WriteBytes(bytes.substr(0, n))), FileError) << n;
}

TEST_F(OnnxFile, SurvivesEveryFlippedByte) {
  const std::string bytes = Small().SerializeAsString();
  for (size_t n = 0; n < bytes.size(); ++n) {
    std::string hurt = bytes;
    hurt[n] = static_cast<char>(hurt[n] ^ 0xff);
    try {
      ReadOnnx(WriteBytes(hurt));
    } catch (const FileError&) {
    }
  }
}

TEST_F(OnnxFile, NamesEachDefect) {
  const auto expect = [&](const char* part, const std::function<void(onnx::ModelProto&)>& edit) {
    const std::string message = Refusal(edit);
    EXPECT_NE(message.find(part), std::string::npos) << "got: " << message << "\nneeds: " << part;
  };
  using M = onnx::ModelProto;
  expect("opset 6", [](M& m) { m.mutable_opset_import(0)->set_version(6); });
  expect("has no opset", [](M& m) { m.clear_opset_import(); });
  expect("has no graph", [](M& m) { m.clear_graph(); });
  expect("tensor w", [](M& m) { m.mutable_graph()->mutable_initializer(0)->set_dims(0, 3); });
  expect("tensor w", [](M& m) { m.mutable_graph()->mutable_initializer(0)->set_dims(0, -1); });
  expect("impossible shape", [](M& m) {
    for (int i = 0; i < 3; ++i)
      m.mutable_graph()->mutable_initializer(0)->add_dims(int64_t{1} << 40);
  });
  expect("element type", [](M& m) { m.mutable_graph()->mutable_initializer(0)->set_data_type(8); });
  expect("element type",
         [](M& m) { m.mutable_graph()->mutable_initializer(0)->set_data_type(-5); });
  expect("bytes", [](M& m) { m.mutable_graph()->mutable_initializer(0)->set_raw_data("123"); });
  expect("nobody", [](M& m) { m.mutable_graph()->mutable_node(0)->set_input(0, "nobody"); });
  expect("cycle", [](M& m) { m.mutable_graph()->mutable_node(0)->set_input(0, "y"); });
  expect("exists already", [](M& m) { m.mutable_graph()->mutable_node(1)->set_output(0, "m"); });
  expect("made by no node", [](M& m) { m.mutable_graph()->mutable_output(0)->set_name("z"); });
  expect("makes nothing", [](M& m) { m.mutable_graph()->mutable_node(1)->clear_output(); });
  expect("appears twice", [](M& m) { *m.mutable_graph()->add_input() = m.graph().input(0); });
  expect("sparse", [](M& m) { m.mutable_graph()->add_sparse_initializer(); });
  expect("local functions", [](M& m) { m.add_functions()->set_name("f"); });
}

TEST_F(OnnxFile, ReadsExternalDataAndStaysInsideTheFolder) {
  const auto external = [](const std::string& location, const std::string& offset) {
    onnx::ModelProto m = Small();
    auto* w = m.mutable_graph()->mutable_initializer(0);
    w->clear_float_data();
    w->set_data_location(onnx::TensorProto::EXTERNAL);
    const auto add = [&](const char* key, const std::string& value) {
      auto* entry = w->add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    };
    add("location", location);
    add("offset", offset);
    return m;
  };
  const float data[3] = {7, 8, 9};
  WriteFile(folder_.path() / "w.bin", {reinterpret_cast<const char*>(data), sizeof(data)});
  const Model m = ReadOnnx(Write(external("w.bin", "4")));
  EXPECT_EQ(m.graph.Initializer("w")->data<float>()[0], 8);
  for (const auto& [location, offset] :
       std::vector<std::pair<std::string, std::string>>{{"w.bin", "8"},
                                                        {"w.bin", "18446744073709551612"},
                                                        {"w.bin", "x"},
                                                        {"missing.bin", "0"},
                                                        {"../w.bin", "0"},
                                                        {"a/../../w.bin", "0"},
                                                        {"/etc/passwd", "0"},
                                                        {"", "0"}})
    EXPECT_THROW(ReadOnnx(Write(external(location, offset))), FileError)
        << location << " at " << offset;
}

// What does not fit goes beside the file, the weights of branches too; all files are named.
TEST_F(OnnxFile, LargeWeightsAreWrittenBesideTheModel) {
  Model m = ReadOnnx(Write(Small()));
  const auto weights = [](float first) {
    std::vector<float> values(300, first);
    return Tensor::Of(values, {300});
  };
  auto branch = std::make_shared<Graph>();
  branch->initializers["inner"] = weights(2);
  branch->outputs = {{"inner", DType::kFloat32, {300}, {""}, true}};
  m.graph.initializers["outer"] = weights(1);
  m.graph.initializers["condition"] = Tensor::Zeros(DType::kBool, {});
  m.graph.nodes.push_back({"If", "", "if", {"condition"}, {"z"}, {}});
  for (const char* name : {"then_branch", "else_branch"})
    m.graph.nodes.back().attributes[name] = std::shared_ptr<const Graph>(branch);

  const fs::path path = folder_.path() / "large.onnx", data = folder_.path() / "large.onnx.data";
  EXPECT_EQ(WriteOnnx(m, path, 4000), std::vector<fs::path>{path});
  EXPECT_EQ(WriteOnnx(m, path, 3000), (std::vector<fs::path>{path, data}));
  std::vector<fs::path> files;
  const Model back = ReadOnnx(path, &files);
  EXPECT_EQ(files, (std::vector<fs::path>{path, data}));
  EXPECT_EQ(fs::file_size(data) % 4096, 1200u) << "each begins on a page";
  EXPECT_EQ(back.graph.Initializer("outer")->data<float>()[299], 1);
  const Graph& inside = *back.graph.nodes.back().Subgraph("else_branch");
  EXPECT_EQ(inside.Initializer("inner")->data<float>()[299], 2);
}

// Codes of 4 bits keep their bytes; in the message itself, each value is a byte of two.
TEST_F(OnnxFile, PackedCodesAreReadAndWrittenAsTheyAre) {
  Model m = ReadOnnx(Write(Small()));
  const std::vector<int8_t> codes{-8, 7, 0, -1, 3};
  m.graph.initializers["codes"] = Narrow4(Tensor::Vector(codes));
  m.graph.nodes.push_back({"Cast", "", "cast", {"codes"}, {"z"}, {{"to", int64_t{6}}}});
  const fs::path path = folder_.path() / "packed.onnx";
  WriteOnnx(m, path);
  const Tensor back = *ReadOnnx(path).graph.Initializer("codes");
  EXPECT_EQ(back.dtype(), DType::kInt4);
  EXPECT_EQ(back.bytes(), 3u);
  const Tensor wide = Widen4(back);
  EXPECT_TRUE(std::equal(codes.begin(), codes.end(), wide.data<int8_t>()));

  const auto pack = [](onnx::ModelProto& p) {
    auto* t = p.mutable_graph()->add_initializer();
    t->set_name("codes");
    t->set_data_type(21);
    t->add_dims(3);
    t->add_int32_data(0xf1);
    t->add_int32_data(0x02);
    return t;
  };
  onnx::ModelProto held = Small();
  pack(held);
  const Tensor three = Widen4(*ReadOnnx(Write(held)).graph.Initializer("codes"));
  EXPECT_EQ(three.data<uint8_t>()[0], 1);
  EXPECT_EQ(three.data<uint8_t>()[1], 15);
  EXPECT_EQ(three.data<uint8_t>()[2], 2);
  const auto refused = [&](const auto& change) {
    return Refusal([&](onnx::ModelProto& p) { change(pack(p)); }).find("codes") !=
           std::string::npos;
  };
  EXPECT_TRUE(refused([](onnx::TensorProto* t) { t->add_int32_data(0); }));
  EXPECT_TRUE(refused([](onnx::TensorProto* t) {
    t->clear_int32_data();
    t->add_float_data(1);
    t->add_float_data(1);
  }));
  EXPECT_TRUE(refused([](onnx::TensorProto* t) {
    t->clear_int32_data();
    t->set_raw_data("x");
  }));
}

TEST_F(OnnxFile, MissingFilesAndFoldersAreNamed) {
  EXPECT_THROW(ReadOnnx(folder_.path() / "none.onnx"), FileError);
  EXPECT_THROW(ReadOnnx(folder_.path()), FileError);
  EXPECT_THROW(WriteOnnx(ReadOnnx(Write(Small())), folder_.path() / "no" / "folder.onnx"),
               FileError);
}

}  // namespace
}  // namespace mezzo
