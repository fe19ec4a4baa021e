// graphc run: a model or a compiled one in, new tokens out.
#include "Commands.h"
#include "CompileFlags.h"
#include "GenerationFlags.h"

#include "Support/Message.h"

#include <cstdio>

using namespace graphc;

static constexpr std::string_view kAbout =
    "Generates from a prompt. MODEL is a shared object that graphc made, or what 'graphc MODEL' takes, which is\n"
    "compiled first. Text is streamed to standard output; the rate and the cache's dtype go to standard error.\n"
    "\n"
    "  graphc run checkpoint/ --policy compute=bf16,output=f32 --pin-cache=bf16 -p 'Once upon a time' -n 64\n"
    "  graphc run model.so --tokens 1,2,3 --tokens 4,5 -n 8 --print-tokens\n"
    "  graphc run model.so --tokens 1,2,3 -n 0 --logits-out logits.npy";

namespace {

using Prompts = std::vector<std::vector<int32_t>>;

struct RunCommand {
  std::string path;
  CompileFlags flags;
  GenerationFlags generation;
  std::string saveCache, loadCache;
  uint64_t memoryBudget = 0;

  int run(Arguments arguments);
  absl::Status execute();
  absl::StatusOr<std::shared_ptr<const Executable>> executable();
  absl::StatusOr<SessionOptions> session(const Prompts &prompts) const;
  absl::Status checkBudget(const Executable &executable, const SessionOptions &options) const;
  absl::Status writeOutputs(const std::shared_ptr<const Model> &model, const Prompts &prompts, SessionOptions options) const;
  absl::Status writeHiddenStates(const Session &session, const Prompts &prompts) const;
  absl::Status writeAttentions(const Session &session, const Prompts &prompts) const;
  absl::Status generate(const std::shared_ptr<const Model> &model, const Prompts &prompts, const SessionOptions &sizes) const;
};

} // namespace

absl::StatusOr<std::shared_ptr<const Executable>> RunCommand::executable() {
  if (isSharedObject(path)) {
    if (flags.any())
      return invalidArgument("options such as --policy, --pin-cache, --outputs and --target are for compiling, and '", path,
                             "' is compiled already");
    return Executable::load(path);
  }
  CompileOptions &compile = flags.compile;
  if (compile.outputs.empty())
    compile.outputs = generation.neededOutputs();
  Progress progress(concat("compiling ", path));
  absl::StatusOr<CompiledModel> compiled = compileArgument(path, compile);
  if (!compiled.ok())
    return compiled.status();
  printNotes(*compiled);
  return compiled->executable();
}

/// A session for the prompts and their new tokens, behind what the loaded cache has.
absl::StatusOr<SessionOptions> RunCommand::session(const Prompts &prompts) const {
  SessionOptions options;
  options.batch = prompts.size();
  options.threads = generation.threads;
  int64_t needed = longest(prompts) + generation.newTokens;
  options.stateRows = 0;
  for (const std::vector<int32_t> &prompt : prompts)
    options.stateRows += prompt.size() + 1; // one may wait from the last run
  if (!loadCache.empty()) {
    absl::StatusOr<std::vector<int32_t>> lengths = Session::savedLengths(loadCache);
    if (!lengths.ok())
      return lengths.status();
    const size_t both = std::min(lengths->size(), prompts.size()); // loading says so if there are more
    for (size_t i = 0; i < both; ++i)
      needed = std::max(needed, (*lengths)[i] + 1 + int64_t(prompts[i].size()) + generation.newTokens);
  }
  options.capacity = generation.sessionLength ? generation.sessionLength : std::max<int64_t>(needed, 1);
  return options;
}

absl::Status RunCommand::checkBudget(const Executable &executable, const SessionOptions &options) const {
  return memoryBudget ? executable.checkBudget(options, memoryBudget) : absl::OkStatus();
}

absl::Status RunCommand::execute() {
  absl::StatusOr<std::shared_ptr<const Executable>> code = executable();
  if (!code.ok())
    return code.status();
  auto opened = [&] {
    Progress progress("opening the weights");
    return Model::open(*code, weightsFolder(generation.weights, path));
  }();
  if (!opened.ok())
    return opened.status().code() == absl::StatusCode::kInvalidArgument
               ? absl::FailedPreconditionError(opened.status().message()) : opened.status();
  const std::shared_ptr<const Model> &model = *opened;
  const bool isStart = loadCache.empty(); // a conversation has one BOS token
  absl::StatusOr<Prompts> prompts = generation.prompts([&](const std::string &text) { return model->encode(text, isStart); });
  if (!prompts.ok())
    return prompts.status();
  absl::StatusOr<SessionOptions> sizes = session(*prompts);
  if (!sizes.ok())
    return sizes.status().code() == absl::StatusCode::kInvalidArgument
               ? absl::FailedPreconditionError(sizes.status().message()) : sizes.status();
  if (absl::Status status = checkBudget(**code, *sizes); !status.ok())
    return status;
  if (absl::Status status = writeOutputs(model, *prompts, *sizes); !status.ok())
    return status;
  return generation.newTokens || !saveCache.empty() ? generate(model, *prompts, *sizes) : absl::OkStatus();
}

/// Runs the prompts alone, for the outputs of all their tokens.
absl::Status RunCommand::writeOutputs(const std::shared_ptr<const Model> &model, const Prompts &prompts, SessionOptions options) const {
  if (generation.neededOutputs().empty())
    return absl::OkStatus();
  std::vector<NewTokens> tokens;
  options.logitRows = 0;
  for (const std::vector<int32_t> &prompt : prompts) {
    tokens.push_back({int64_t(tokens.size()), prompt, NewTokens::Logits::All});
    options.logitRows += prompt.size();
  }
  options.stateRows = options.logitRows;
  absl::StatusOr<std::unique_ptr<Session>> session = Session::create(model, options);
  if (!session.ok())
    return session.status();
  absl::StatusOr<LogitsView> logits = (*session)->forward(tokens);
  if (!logits.ok())
    return logits.status();
  if (!generation.logitsOut.empty()) {
    const int64_t width = longest(prompts), vocab = logits->vocab;
    std::vector<float> padded(prompts.size() * width * vocab);
    for (int64_t i = 0, row = 0; i < int64_t(prompts.size()); row += prompts[i++].size())
      std::copy_n(logits->data + row * vocab, prompts[i].size() * vocab, padded.begin() + i * width * vocab);
    if (absl::Status status = writeFloats(generation.logitsOut, {int64_t(prompts.size()), width, vocab}, padded); !status.ok())
      return status;
  }
  if (absl::Status status = writeHiddenStates(**session, prompts); !status.ok())
    return status;
  return writeAttentions(**session, prompts);
}

/// The outputs NAME.0, NAME.1, ..: one a layer.
static absl::StatusOr<std::vector<OutputView>> layersOf(const Session &session, std::string_view name) {
  std::vector<OutputView> views;
  for (;;) {
    absl::StatusOr<OutputView> output = session.output(concat(name, ".", views.size()));
    if (output.ok())
      views.push_back(*output);
    else if (!views.empty())
      return views;
    else
      return absl::FailedPreconditionError(concat("model must be compiled with --outputs=logits,", name, ": ", output.status().message()));
  }
}

absl::Status RunCommand::writeHiddenStates(const Session &session, const Prompts &prompts) const {
  if (generation.hiddenStatesOut.empty())
    return absl::OkStatus();
  absl::StatusOr<std::vector<OutputView>> states = layersOf(session, "hidden_states");
  if (!states.ok())
    return states.status();
  const int64_t width = longest(prompts), batch = prompts.size(), layers = states->size(), hidden = states->front().width;
  std::vector<float> padded(layers * batch * width * hidden);
  for (int64_t layer = 0; layer < layers; ++layer)
    for (int64_t i = 0, row = 0; i < batch; row += prompts[i++].size())
      for (int64_t t = 0; t < int64_t(prompts[i].size()); ++t)
        for (int64_t d = 0; d < hidden; ++d)
          padded[((layer * batch + i) * width + t) * hidden + d] = (*states)[layer].at(row + t, d);
  return writeFloats(generation.hiddenStatesOut, {layers, batch, width, hidden}, padded);
}

/// A session has weights for each key up to its capacity; those of the prompt's
/// tokens are written.
absl::Status RunCommand::writeAttentions(const Session &session, const Prompts &prompts) const {
  if (generation.attentionsOut.empty())
    return absl::OkStatus();
  absl::StatusOr<std::vector<OutputView>> views = layersOf(session, "attentions");
  if (!views.ok())
    return views.status();
  const int64_t width = longest(prompts), batch = prompts.size(), layers = views->size();
  const int64_t capacity = session.options().capacity, heads = views->front().width / capacity;
  std::vector<float> padded(layers * batch * heads * width * width);
  for (int64_t layer = 0; layer < layers; ++layer)
    for (int64_t i = 0, row = 0; i < batch; row += prompts[i++].size())
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t t = 0; t < int64_t(prompts[i].size()); ++t)
          for (int64_t j = 0; j < width; ++j)
            padded[(((layer * batch + i) * heads + h) * width + t) * width + j] = (*views)[layer].at(row + t, h * capacity + j);
  return writeFloats(generation.attentionsOut, {layers, batch, heads, width, width}, padded);
}

absl::Status RunCommand::generate(const std::shared_ptr<const Model> &model, const Prompts &prompts, const SessionOptions &sizes) const {
  const bool streams = prompts.size() == 1 && !generation.printTokens && generation.newTokens;
  const bool hasText = !generation.printTokens && model->encode("").ok();
  if (!generation.printTokens && !hasText && generation.newTokens)
    return absl::FailedPreconditionError(concat("folder '", weightsFolder(generation.weights, path),
                                                "' has no tokenizer.json to make text with; ask for --print-tokens"));
  GenerateOptions options;
  options.maxNewTokens = generation.newTokens;
  options.sampling = generation.sampling;
  options.stopAtEos = !generation.ignoreEos;
  options.makeText = hasText;
  options.onToken = [&](const StreamedToken &token) {
    if (streams)
      std::fwrite(token.text.data(), 1, token.text.size(), stdout), std::fflush(stdout);
    return !std::ferror(stdout); // a closed pipe ends it
  };
  absl::StatusOr<std::unique_ptr<Session>> session = Session::create(model, sizes);
  if (!session.ok())
    return session.status();
  if (absl::Status status = loadCache.empty() ? absl::OkStatus() : (*session)->loadCache(loadCache); !status.ok())
    return status;
  absl::StatusOr<Generation> result = Generator(**session).generate(prompts, options);
  if (!result.ok())
    return result.status();
  if (absl::Status status = saveCache.empty() ? absl::OkStatus() : (*session)->saveCache(saveCache); !status.ok())
    return status;
  if (generation.newTokens == 0)
    return absl::OkStatus();
  Prompts ids;
  std::string text = streams ? "\n" : "";
  for (const Generation::Sequence &sequence : result->sequences) {
    ids.push_back(sequence.ids);
    if (!streams)
      text += sequence.text + "\n";
  }
  if (absl::Status status = writeOutput("-", generation.printTokens ? tokenLines(ids) : text); !status.ok())
    return status;
  std::fputs(concat(result->closingLine(), "\n").c_str(), stderr);
  return absl::OkStatus();
}

int RunCommand::run(Arguments arguments) {
  Options options("graphc run", kAbout);
  options.argument("MODEL", path, "shared object, .ir file, checkpoint folder, or '-' for a graph\non standard input");
  generation.add(options);
  options.text("--save-cache", "FILE", saveCache, "writes the cache, so that a later run can go on from here");
  options.text("--load-cache", "FILE", loadCache, "goes on from a cache that --save-cache wrote, with the same\nmodel, policy and pin: the prompt follows what is in it");
  options.custom("--memory-budget", "BYTES",
                 [this](std::string_view text) -> absl::Status {
                   absl::StatusOr<uint64_t> bytes = parseBytes(text);
                   return bytes.ok() ? (memoryBudget = *bytes, absl::OkStatus()) : bytes.status();
                 },
                 "fails with code 3 if the session needs more; K, M, G, T are\npowers of 1024");
  flags.addModelOptions(options);
  flags.addLimitOptions(options);
  flags.addTargetOptions(options);
  flags.addCacheOption(options);
  if (std::optional<int> code = options.parse(arguments))
    return *code;
  flags.finish();
  if (!loadCache.empty() && !generation.neededOutputs().empty())
    return options.usageError("--load-cache cannot be combined with --logits-out and the like: these are of whole prompts");
  const absl::Status status = execute();
  return status.ok() ? kSuccess : report("graphc run", status, flags.compile.inspect.reproducer);
}

int graphc::runMain(Arguments arguments) { return RunCommand().run(arguments); }
