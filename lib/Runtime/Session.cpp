// A forward packs the new tokens of all sequences end to end and cuts that
// stream into calls of at most `chunk` tokens. Nothing here allocates, and
// nothing is written before everything has been checked.
#include "Runtime/Code.h"
#include "Runtime/Cores.h"
#include "Runtime/ModelParts.h"
#include "Runtime/SessionState.h"
#include "Support/Message.h"

#include <algorithm>
#include <cstring>

namespace graphc {

using Kind = Binding::Kind;

absl::Status Session::State::checkSequence(int64_t sequence, int64_t previous) const {
  if (sequence < 0 || sequence >= options.batch)
    return invalidArgument("sequence must be from 0 to ", options.batch - 1, ", got ", sequence);
  if (sequence <= previous)
    return invalidArgument("sequences must be in order, each at most once, got ", sequence, " after ",
                           previous);
  return absl::OkStatus();
}

absl::Status Session::State::checkIds(int64_t sequence, std::span<const int32_t> ids) const {
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || ids[i] >= program.model.vocabSize)
      return invalidArgument("token ", i, " of sequence ", sequence, " must be from 0 to ",
                             program.model.vocabSize - 1, ", got ", ids[i]);
  return absl::OkStatus();
}

absl::Status Session::State::check(std::span<const Source> sources) const {
  if (!program.hasEncoder())
    return absl::FailedPreconditionError("model must have an encoder to read a source, got a decoder alone");
  int64_t previous = -1, tokenCount = 0;
  for (const Source &source : sources) {
    if (absl::Status status = checkSequence(source.sequence, previous); !status.ok())
      return status;
    previous = source.sequence;
    if (source.ids.empty())
      return invalidArgument("source of sequence ", source.sequence, " must have at least one token, got none");
    if (int64_t(source.ids.size()) > options.sourceCapacity)
      return absl::OutOfRangeError(concat("source of sequence ", source.sequence, " must have at most the session's ",
                                          options.sourceCapacity, " tokens, got ", source.ids.size(),
                                          "; make a session of a larger source capacity"));
    if (absl::Status status = checkIds(source.sequence, source.ids); !status.ok())
      return status;
    tokenCount += int64_t(source.ids.size());
  }
  if (hasEncoderOutputs && tokenCount > options.stateRows)
    return invalidArgument("tokens in one encode must be at most ", options.stateRows,
                           " for the encoder's outputs, got ", tokenCount, "; make a session of more state rows");
  return absl::OkStatus();
}

absl::Status Session::State::check(std::span<const NewTokens> tokens) {
  int64_t previous = -1, tokenCount = 0, rowCount = 0;
  for (const NewTokens &entry : tokens) {
    if (absl::Status status = checkSequence(entry.sequence, previous); !status.ok())
      return status;
    previous = entry.sequence;
    if (sourceLengths && !entry.ids.empty() && sourceLengths[entry.sequence] == 0)
      return absl::FailedPreconditionError(concat("sequence ", entry.sequence,
                                                  " must have a source before it decodes; encode one first"));
    const int64_t count = int64_t(entry.ids.size()), length = lengths[entry.sequence];
    if (count > options.capacity - length)
      return absl::OutOfRangeError(concat("sequence ", entry.sequence, " must stay within the ",
                                          "session's capacity of ", options.capacity,
                                          " tokens, got ", length, " and ", count,
                                          " new ones; make a session of a larger capacity"));
    if (absl::Status status = checkIds(entry.sequence, entry.ids); !status.ok())
      return status;
    tokenCount += count;
    if (count && entry.logits != NewTokens::Logits::None)
      rowCount += entry.logits == NewTokens::Logits::All ? count : 1;
  }
  if (rowCount > options.logitRows)
    return invalidArgument("rows of logits in one forward must be at most ", options.logitRows,
                           ", got ", rowCount, "; make a session of more logit rows");
  if (rowCount && !logits)
    return invalidArgument("program must have the output logits, got none; compile it with "
                           "--outputs=logits");
  if (hasTokenOutputs && tokenCount > options.stateRows)
    return invalidArgument("tokens in one forward must be at most ", options.stateRows,
                           " for outputs other than logits, got ", tokenCount,
                           "; make a session of more state rows");
  totalTokens = tokenCount;
  totalRows = rowCount;
  return carries.empty() ? absl::OkStatus() : checkSeed(tokens);
}

Session::State::Packed Session::State::pack(std::span<const NewTokens> tokens, Cursor &cursor) {
  Packed packed;
  int64_t next = 0; // the sequence whose start comes next
  for (; cursor.entry < tokens.size() && packed.tokens < chunk; ++cursor.entry, cursor.at = 0) {
    const NewTokens &entry = tokens[cursor.entry];
    const int64_t left = int64_t(entry.ids.size() - cursor.at);
    const int64_t count = std::min(left, chunk - packed.tokens);
    if (count == 0)
      continue;
    for (; next <= entry.sequence; ++next)
      starts[next] = int32_t(packed.tokens);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = packed.tokens + i;
      const bool isLast = i + 1 == left;
      ids[row] = entry.ids[cursor.at + size_t(i)];
      positions[row] = int32_t(lengths[entry.sequence] + i);
      if (entry.logits == NewTokens::Logits::All ||
          (entry.logits == NewTokens::Logits::Last && isLast))
        rowIds[packed.rows++] = int32_t(row);
    }
    packed.tokens += count;
    packed.isDecode &= count == 1;
    if (count < left) { // the chunk is full in the middle of this sequence
      cursor.at += size_t(count);
      break;
    }
  }
  for (; next <= options.batch; ++next)
    starts[next] = int32_t(packed.tokens);
  return packed;
}

void Session::State::setOutput(const Output &output, int64_t rows) {
  pointers[output.binding] = output.data + output.rowBytes * uint64_t(rows);
}

/// Whole sources, as many as fit, in each call.
void Session::State::encode(std::span<const Source> sources) {
  totalSourceTokens = 0;
  for (size_t next = 0; next < sources.size();) {
    int64_t tokens = 0, sequence = 0;
    for (; next < sources.size() && tokens + int64_t(sources[next].ids.size()) <= sourceTokens; ++next) {
      const Source &source = sources[next];
      for (; sequence <= source.sequence; ++sequence)
        starts[sequence] = int32_t(tokens);
      for (size_t i = 0; i < source.ids.size(); ++i, ++tokens) {
        ids[tokens] = source.ids[i];
        positions[tokens] = int32_t(i);
      }
      sourceLengths[source.sequence] = int32_t(source.ids.size());
      lengths[source.sequence] = reached[source.sequence] = loaded[source.sequence] = 0;
      pending[source.sequence] = -1;
    }
    for (; sequence <= options.batch; ++sequence)
      starts[sequence] = int32_t(tokens);
    *tokensDim = tokens;
    *rowsDim = 0;
    for (const Output &output : outputs)
      setOutput(output, output.ofEncoder ? totalSourceTokens : 0);
    call(model->parts->executable->code->encoder);
    totalSourceTokens += tokens;
  }
}

void Session::State::call(EntryPoint entry) {
  const CoreShare share(options.threads, stepsTogether);
  if (sharesCores)
    *threadsDim = share.cores;
  entry(pointers.data(), dims.data());
}

LogitsView Session::State::run(std::span<const NewTokens> tokens) {
  const Executable::Code &code = *model->parts->executable->code;
  Cursor cursor;
  int64_t tokensDone = 0, rowsDone = 0;
  while (tokensDone < totalTokens) {
    const Packed packed = pack(tokens, cursor);
    *tokensDim = packed.tokens;
    *rowsDim = packed.rows;
    for (const Output &output : outputs)
      setOutput(output, output.ofEncoder ? 0 : output.ofTokens ? tokensDone : rowsDone);
    call(packed.isDecode ? code.decode : code.prefill);
    for (const Carried &carried : carries)
      std::swap(pointers[carried.before], pointers[carried.after]);
    for (int64_t s = 0; s < options.batch; ++s) {
      lengths[s] += starts[s + 1] - starts[s];
      reached[s] = std::max(reached[s], lengths[s]);
    }
    tokensDone += packed.tokens;
    rowsDone += packed.rows;
  }
  for (const NewTokens &entry : tokens) // not before: a generator's ids are these
    if (!entry.ids.empty())
      pending[entry.sequence] = -1;
  if (!logits)
    return {};
  const Output &output = outputs[*logits];
  const DType dtype = program.bindings[output.binding].dtype;
  const int64_t vocab = int64_t(output.rowBytes / byteSize(dtype));
  if (!widenedLogits)
    return {reinterpret_cast<const float *>(output.data), totalRows, vocab};
  widenTo(widenedLogits, output.data, dtype, uint64_t(totalRows * vocab));
  return {widenedLogits, totalRows, vocab};
}

void widenTo(float *out, const std::byte *data, DType dtype, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i)
    out[i] = loadElement(dtype, data + i * byteSize(dtype));
}

Session::Session(std::unique_ptr<State> state) : state(std::move(state)) {}
Session::~Session() = default;

absl::StatusOr<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model,
                                                         const SessionOptions &options) {
  if (!model)
    return invalidArgument("session must have a model, got none");
  const Program &program = model->executable().program();
  auto state = std::make_unique<State>(std::move(model), program);
  if (absl::Status status = state->allocate(planRequest(options)); !status.ok())
    return status;
  state->sharesCores = options.threads == 0;
  return std::unique_ptr<Session>(new Session(std::move(state)));
}

absl::StatusOr<LogitsView> Session::forward(std::span<const NewTokens> tokens) {
  if (absl::Status status = state->check(tokens); !status.ok())
    return status;
  return state->run(tokens);
}

absl::Status Session::encode(std::span<const Source> sources) {
  if (absl::Status status = std::as_const(*state).check(sources); !status.ok())
    return status;
  state->encode(sources);
  return absl::OkStatus();
}

absl::StatusOr<OutputView> Session::output(std::string_view name) const {
  for (const State::Output &output : state->outputs) {
    const Binding &binding = state->program.bindings[output.binding];
    if (binding.name != name)
      continue;
    return OutputView{binding.name, info(binding.dtype).name, output.data,
                      output.ofEncoder  ? state->totalSourceTokens
                      : output.ofTokens ? state->totalTokens
                                        : state->totalRows,
                      int64_t(output.rowBytes / byteSize(binding.dtype))};
  }
  return absl::NotFoundError(concat("output '", name, "' must be one that the program was compiled "
                                    "with, got one of: ", join(state->program.outputs)));
}

float OutputView::at(int64_t row, int64_t column) const {
  const DType type = *parseDType(dtype);
  float value;
  widenTo(&value, static_cast<const std::byte *>(data) +
                      uint64_t(row * width + column) * byteSize(type), type, 1);
  return value;
}

std::span<const int32_t> Session::sourceLengths() const {
  return state->sourceLengths ? std::span<const int32_t>(state->sourceLengths, size_t(state->options.batch))
                              : std::span<const int32_t>();
}
std::span<const int32_t> Session::lengths() const {
  return {state->lengths, size_t(state->options.batch)};
}
const Model &Session::model() const { return *state->model; }
const SessionOptions &Session::options() const { return state->options; }
uint64_t Session::cacheBytes() const { return state->cacheBytes; }

std::string Session::cacheDType() const {
  if (!state->carries.empty())
    return "f32 (seed mode)";
  std::vector<std::string> types;
  for (const Binding &keys : state->program.bindings) {
    if (!keys.isOfKeys() || keys.isScales())
      continue;
    DType values = keys.dtype;
    for (const Binding &other : state->program.bindings)
      if (other.kind == Kind::Cache && other.side() == "values" && other.isOfCross() == keys.isOfCross() &&
          other.block == keys.block)
        values = other.dtype;
    std::string text(info(keys.dtype).name);
    if (values != keys.dtype)
      text = concat("k=", text, ",v=", info(values).name);
    if (std::find(types.begin(), types.end(), text) == types.end())
      types.push_back(text);
  }
  return types.empty() ? "none" : join(types, "/");
}

static void callTrace(void *context, int64_t kernel) {
  const auto &session = *static_cast<const Session *>(context);
  TraceAccess::stateOf(session).trace(TraceAccess::lastCall(session), kernel);
}

absl::Status TraceAccess::set(Session &session, Trace trace) {
  auto &state = *session.state;
  if (state.program.bindings.empty() || state.program.bindings.back().kind != Kind::Trace)
    return absl::FailedPreconditionError("program must be compiled with a trace to be traced");
  state.trace = trace ? std::move(trace) : Trace([](const CallView &, int64_t) {});
  state.hook = {callTrace, &session};
  return absl::OkStatus();
}

CallView TraceAccess::lastCall(const Session &session) {
  const auto &state = *session.state;
  return {state.program, state.pointers, state.dims};
}

} // namespace graphc
