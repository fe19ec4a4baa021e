// Reading fixtures and running them.
#include "Fixture.h"

#include <algorithm>

namespace graphc::system_test {

static std::vector<Ids> idLists(const nlohmann::json &json, const char *key) {
  std::vector<Ids> lists;
  for (const auto &row : json.at(key)) {
    Ids ids;
    for (const auto &id : row)
      ids.push_back(id.get<int32_t>());
    lists.push_back(std::move(ids));
  }
  return lists;
}

Golden readGolden(const std::string &fixture) {
  auto json = parseJsonFile(folderOf(fixture) + "/golden.json");
  EXPECT_TRUE(json.ok()) << json.status();
  return {idLists(*json, "prompts"), idLists(*json, "greedy"),
          json->contains("decoder_prompts") ? idLists(*json, "decoder_prompts") : std::vector<Ids>(), json->at("session_length").get<int64_t>(),
          json->at("logits_range").get<double>(), json->at("tolerance").get<double>()};
}

std::vector<float> readValues(const std::string &fixture, const std::string &file) {
  auto array = readNpy(folderOf(fixture) + "/" + file);
  EXPECT_TRUE(array.ok()) << array.status();
  const auto values = std::as_const(*array).values<float>();
  return {values.begin(), values.end()};
}

CompiledModel compileFixture(const std::string &fixture, const CompileOptions &options) {
  auto compiled = compile(folderOf(fixture), options);
  if (!compiled.ok()) {
    ADD_FAILURE() << compiled.status();
    std::abort();
  }
  return *compiled;
}

std::shared_ptr<const Model> openModel(const CompiledModel &compiled, const std::string &fixture) {
  auto executable = compiled.executable();
  EXPECT_TRUE(executable.ok()) << executable.status();
  auto model = Model::open(*executable, folderOf(fixture));
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

std::unique_ptr<Session> openSession(std::shared_ptr<const Model> model, SessionOptions options) {
  auto session = Session::create(std::move(model), options);
  EXPECT_TRUE(session.ok()) << session.status();
  return std::move(*session);
}

void encode(Session &session, int64_t sequence, const Ids &source) {
  const Source read{sequence, source};
  const absl::Status status = session.encode({&read, 1});
  EXPECT_TRUE(status.ok()) << status;
}

std::vector<float> logitsOf(Session &session, int64_t sequence, std::span<const int32_t> ids) {
  const NewTokens tokens{sequence, ids, NewTokens::Logits::All};
  auto view = session.forward({&tokens, 1});
  EXPECT_TRUE(view.ok()) << view.status();
  return {view->data, view->data + view->rows * view->vocab};
}

int32_t argmax(std::span<const float> values) {
  return int32_t(std::max_element(values.begin(), values.end()) - values.begin());
}

Ids greedy(std::shared_ptr<const Model> model, SessionOptions options, const Ids &prompt, size_t count) {
  auto session = openSession(std::move(model), options);
  Ids result, next = prompt;
  while (result.size() < count) {
    const NewTokens tokens{0, next, NewTokens::Logits::Last};
    auto view = session->forward({&tokens, 1});
    EXPECT_TRUE(view.ok()) << view.status();
    next = {argmax(view->row(0))};
    result.push_back(next[0]);
  }
  return result;
}

} // namespace graphc::system_test
