// graphc run: a model or a compiled one in, new tokens out.
#include "Commands.h"
#include "CompileFlags.h"
#include "GenerationFlags.h"
#include "OutputFiles.h"

#include "Support/Message.h"
#include "Support/Program.h"

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

struct RunCommand {
  std::string path;
  CompileFlags flags;
  GenerationFlags generation;
  std::string saveCache, loadCache;
  uint64_t memoryBudget = 0;
  int64_t sourceLength = 0; ///< 0: as needed.

  int run(Arguments arguments);
  absl::Status execute();
  absl::StatusOr<std::shared_ptr<const Executable>> executable();
  absl::StatusOr<Prompts> readPrompts(const Model &model) const;
  absl::StatusOr<Prompts> decoderPrompts(const Program &program, const Prompts &prompts) const;
  absl::StatusOr<SessionOptions> session(const Program &program, const Prompts &prompts, const Prompts &decoderPrompts) const;
  absl::Status checkBudget(const Executable &executable, const SessionOptions &options) const;
  absl::Status writeOutputs(const std::shared_ptr<const Model> &model, const Prompts &sources, const Prompts &prompts, SessionOptions options) const;
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

/// The prompts; with an encoder, and a loaded cache that has its sources, an empty
/// one for each of them.
absl::StatusOr<Prompts> RunCommand::readPrompts(const Model &model) const {
  const bool isStart = loadCache.empty(); // a conversation has one BOS token
  const bool hasEncoder = model.executable().program().hasEncoder();
  if (isStart || !hasEncoder)
    return generation.prompts([&](const std::string &text) { return model.encode(text, isStart); });
  if (generation.hasPrompts())
    return invalidArgument("--load-cache has the sources that decoders read; leave out --prompt and --tokens, or "
                           "--load-cache");
  absl::StatusOr<SavedLengths> lengths = Session::savedLengths(loadCache);
  if (!lengths.ok())
    return lengths.status().code() == absl::StatusCode::kInvalidArgument
               ? absl::FailedPreconditionError(lengths.status().message()) : lengths.status();
  return Prompts(lengths->sequences.size());
}

/// What the decoder starts with: the prompts, or with an encoder, whose sources
/// they are, --decoder-tokens or the start token; behind a loaded cache, nothing.
absl::StatusOr<Prompts> RunCommand::decoderPrompts(const Program &program, const Prompts &prompts) const {
  const Prompts &given = generation.decoderTokens;
  if (!program.hasEncoder() && sourceLength)
    return invalidArgument("model has no encoder, so there is no source; leave out --source-length");
  if (!program.hasEncoder())
    return given.empty() ? absl::StatusOr<Prompts>(prompts)
                         : invalidArgument("model has no encoder, so its prompts are what the decoder starts with; leave "
                                           "out --decoder-tokens");
  if (given.size() > 1 && given.size() != prompts.size())
    return invalidArgument("--decoder-tokens must be given once, or once for each of the ", prompts.size(),
                           " prompts, got ", given.size());
  const std::vector<int64_t> &start = program.model.decoderStartTokenIds;
  if (given.size() > 1)
    return given;
  if (given.empty() && !loadCache.empty())
    return Prompts(prompts.size());
  return Prompts(prompts.size(), given.empty() ? std::vector<int32_t>(start.begin(), start.end()) : given.front());
}

/// A session for the prompts and their new tokens, behind what the loaded cache has.
absl::StatusOr<SessionOptions> RunCommand::session(const Program &program, const Prompts &prompts,
                                                   const Prompts &decoderPrompts) const {
  SessionOptions options;
  options.batch = prompts.size();
  options.threads = generation.usefulThreads();
  int64_t needed = longest(decoderPrompts) + generation.newTokens, source = longest(prompts);
  options.stateRows = 0;
  for (const std::vector<int32_t> &prompt : decoderPrompts)
    options.stateRows += prompt.size() + 1; // one may wait from the last run
  if (!loadCache.empty()) {
    absl::StatusOr<SavedLengths> lengths = Session::savedLengths(loadCache);
    if (!lengths.ok())
      return lengths.status();
    const size_t both = std::min(lengths->sequences.size(), decoderPrompts.size()); // loading says so if there are more
    for (size_t i = 0; i < both; ++i)
      needed = std::max(needed, lengths->sequences[i] + 1 + int64_t(decoderPrompts[i].size()) + generation.newTokens);
    for (int32_t length : lengths->sources)
      source = std::max<int64_t>(source, length);
  }
  if (program.hasEncoder()) {
    int64_t total = 0; // of what one encode reads
    for (const std::vector<int32_t> &prompt : prompts)
      total += prompt.size();
    options.stateRows = std::max(options.stateRows, total);
    options.sourceCapacity = sourceLength ? sourceLength : std::max<int64_t>(source, 1);
  }
  options.capacity = generation.sessionLength ? generation.sessionLength : std::max<int64_t>(needed, 1);
  return options;
}

absl::Status RunCommand::checkBudget(const Executable &executable, const SessionOptions &options) const {
  return memoryBudget ? executable.checkBudget(options, memoryBudget) : absl::OkStatus();
}

absl::Status RunCommand::execute() {
  if (!loadCache.empty() && !generation.neededOutputs().empty())
    return invalidArgument("--load-cache cannot be combined with --logits-out and the like: these are of whole prompts");
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
  absl::StatusOr<Prompts> prompts = readPrompts(*model);
  if (!prompts.ok())
    return prompts.status();
  absl::StatusOr<Prompts> decoder = decoderPrompts((*code)->program(), *prompts);
  if (!decoder.ok())
    return decoder.status();
  absl::StatusOr<SessionOptions> sizes = session((*code)->program(), *prompts, *decoder);
  if (!sizes.ok())
    return sizes.status().code() == absl::StatusCode::kInvalidArgument
               ? absl::FailedPreconditionError(sizes.status().message()) : sizes.status();
  if (absl::Status status = checkBudget(**code, *sizes); !status.ok())
    return status;
  if (absl::Status status = writeOutputs(model, *prompts, *decoder, *sizes); !status.ok())
    return status;
  return generation.newTokens || !saveCache.empty() ? generate(model, *prompts, *sizes) : absl::OkStatus();
}

/// Runs the prompts alone, for the outputs of all their tokens; with an encoder
/// the prompts are what its decoders start with.
absl::Status RunCommand::writeOutputs(const std::shared_ptr<const Model> &model, const Prompts &sources, const Prompts &prompts, SessionOptions options) const {
  if (generation.neededOutputs().empty())
    return absl::OkStatus();
  const Program &program = model->executable().program();
  std::vector<NewTokens> tokens;
  options.logitRows = 0;
  for (const std::vector<int32_t> &prompt : prompts) {
    tokens.push_back({int64_t(tokens.size()), prompt, NewTokens::Logits::All});
    options.logitRows += prompt.size();
  }
  options.stateRows = std::max(options.stateRows, options.logitRows);
  absl::StatusOr<std::unique_ptr<Session>> session = Session::create(model, options);
  if (!session.ok())
    return session.status();
  if (program.hasEncoder()) {
    std::vector<Source> read;
    for (const std::vector<int32_t> &source : sources)
      read.push_back({int64_t(read.size()), source});
    if (absl::Status status = (*session)->encode(read); !status.ok())
      return status;
  }
  absl::StatusOr<LogitsView> logits = (*session)->forward(tokens);
  if (!logits.ok())
    return logits.status();
  if (!generation.logitsOut.empty())
    if (absl::Status status = writeLogits(generation.logitsOut, *logits, prompts); !status.ok())
      return status;
  for (const OutputFile &file : generation.outputFiles())
    if (absl::Status status = writeOutputFile(file, **session, prompts, sources); !status.ok())
      return status;
  return absl::OkStatus();
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
  options.decoderPrompts = generation.decoderTokens;
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
  options.integer("--source-length", "N", 1, sourceLength, "most tokens of a source, if the model has an encoder\n(default: the longest prompt)");
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
  return flags.run(options, arguments, [this] { return execute(); });
}

int graphc::runMain(Arguments arguments) { return RunCommand().run(arguments); }
