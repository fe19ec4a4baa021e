// Dimensions and the rules that a program keeps. Sizes are computed in checked
// arithmetic, since a manifest may come from anywhere.
#include "Support/Program.h"
#include "Support/Message.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace graphc {

using Kind = Binding::Kind;

namespace {
constexpr int64_t kMaxNumber = int64_t(1) << 40;
constexpr uint64_t kMaxBytes = uint64_t(1) << 56;
constexpr size_t kMaxRank = 8;

bool isWord(std::string_view symbol) {
  return symbol == "threads" || symbol == "tokens" || symbol == "batch" || symbol == "rows" ||
         symbol == "capacity" || symbol == "source" || symbol == "cache_rows";
}
bool isSymbol(std::string_view symbol) { return isWord(symbol) || windowOf(symbol); }

/// The number that is all of `text`, from 1 to kMaxNumber; nothing otherwise.
std::optional<int64_t> parseNumber(std::string_view text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > kMaxNumber)
    return std::nullopt;
  return value;
}

std::string dimsText(const std::vector<Dim> &dims) {
  std::vector<std::string> texts;
  for (const Dim &dim : dims)
    texts.push_back(dimText(dim));
  return concat("(", join(texts), ")");
}

template <typename... Parts>
absl::Status wrong(const Binding &binding, const Parts &...parts) {
  return invalidArgument("binding '", binding.name, "' ", parts...);
}

absl::Status checkDims(const Program &program, const Binding &binding) {
  if (binding.dims.size() > kMaxRank)
    return wrong(binding, "must have at most ", kMaxRank, " dims, got ", binding.dims.size());
  uint64_t bytes = byteSize(binding.dtype);
  for (const Dim &dim : binding.dims) {
    const bool known =
        dim.isNumber() || std::find(program.symbols.begin(), program.symbols.end(), dim.symbol) !=
                              program.symbols.end();
    if (!known)
      return wrong(binding, "must use the program's symbols, got '", dim.symbol, "'");
    if (dim.offset < (dim.isNumber() ? 1 : 0) || dim.offset > kMaxNumber || dim.multiple < 1 ||
        dim.multiple > kMaxNumber || (dim.isNumber() && dim.multiple != 1))
      return wrong(binding, "must have dims from 1 to 2^40, got ", dimsText(binding.dims));
    if (dim.isNumber() && __builtin_mul_overflow(bytes, uint64_t(dim.offset), &bytes))
      bytes = kMaxBytes + 1;
    if (bytes > kMaxBytes)
      return wrong(binding, "must have at most 2^56 bytes, got ", dimsText(binding.dims));
  }
  return absl::OkStatus();
}

absl::Status expect(const Binding &binding, DType dtype, const std::vector<Dim> &dims) {
  if (binding.dtype == dtype && binding.dims == dims)
    return absl::OkStatus();
  return wrong(binding, "must be ", info(dtype).name, " ", dimsText(dims), ", got ",
               info(binding.dtype).name, " ", dimsText(binding.dims));
}

absl::Status checkInput(const Binding &binding) {
  const std::pair<std::string_view, Dim> inputs[] = {
      {"ids", Dim::of("tokens")},    {"positions", Dim::of("tokens")},
      {"starts", Dim::of("batch", 1)}, {"lengths", Dim::of("batch")},
      {"row_ids", Dim::of("rows")},  {"source_lengths", Dim::of("batch")}};
  for (const auto &[name, dim] : inputs)
    if (binding.name == name)
      return expect(binding, DType::I32, {dim});
  return wrong(binding, "must be an input: ids, positions, starts, lengths, row_ids or "
                        "source_lengths");
}

absl::Status checkParameter(const Binding &binding) {
  if (binding.source.empty())
    return wrong(binding, "must name its source tensor");
  for (const Dim &dim : binding.dims)
    if (!dim.isNumber())
      return wrong(binding, "must have numbers as dims, got ", dimsText(binding.dims));
  if (binding.transpose && binding.dims.size() != 2)
    return wrong(binding, "must have 2 dims to be transposed, got ", dimsText(binding.dims));
  for (DType dtype : binding.roundings)
    if (!isFloat(dtype) || dtype == DType::F64 || !isFloat(binding.stored))
      return wrong(binding, "must be rounded from a float type to f32, f16, bf16 or an 8-bit float, got ",
                   info(binding.stored).name, " to ", info(dtype).name);
  const DType last = binding.roundings.empty() ? binding.stored : binding.roundings.back();
  if (!holds(binding.dtype, last))
    return wrong(binding, "must have a dtype that holds every ", info(last).name, ", got ",
                 info(binding.dtype).name);
  return absl::OkStatus();
}

absl::Status checkCache(const Program &program, const Binding &binding) {
  const std::vector<Dim> &dims = binding.dims;
  if (binding.side() != "keys" && binding.side() != "values" && !binding.isScales())
    return wrong(binding, "must be keys, values, key_scales or value_scales, or one of them with cross_ in front, "
                          "since it is a cache");
  if (binding.isScales() ? binding.dtype != DType::F32 : !isComputeType(binding.dtype) && !isEightBit(binding.dtype))
    return wrong(binding, "must have a dtype of caches, f32 for scales, got ", info(binding.dtype).name);
  const bool hasHeads = dims.size() == (binding.isScales() ? 3 : 4) && dims[0] == Dim::of("batch") &&
                        dims[1].isNumber() && dims.back().isNumber() != binding.isScales();
  const bool hasRows = hasHeads && (binding.isOfCross()
                                        ? dims[2] == Dim::of("source")
                                        : dims[2] == Dim::of("capacity") ||
                                              (windowOf(dims[2].symbol) && dims[2] == Dim::of(dims[2].symbol)));
  if (!hasRows)
    return wrong(binding, "must be (batch, kvHeads, ", binding.isOfCross() ? "source" : "capacity or window:N",
                 binding.isScales() ? "" : ", headDim", "), got ", dimsText(dims));
  if (binding.block < 0 || binding.block > kMaxNumber)
    return wrong(binding, "must have a block of at least 0, got ", binding.block);
  // Rows and their scales come in pairs.
  const Binding *other = nullptr;
  for (const Binding &candidate : program.bindings)
    if (candidate.kind == Kind::Cache && candidate.block == binding.block && candidate.isOfCross() == binding.isOfCross() &&
        candidate.isOfKeys() == binding.isOfKeys() && candidate.isScales() != binding.isScales())
      other = &candidate;
  if (!binding.isScales() && isEightBit(binding.dtype) != (other != nullptr))
    return wrong(binding, "of dtype ", info(binding.dtype).name, other ? " must not have scales" : " must have scales");
  if (binding.isScales() && (!other || !std::equal(dims.begin(), dims.end(), other->dims.begin())))
    return wrong(binding, "must have the batch, heads and rows of what it scales, got ", dimsText(dims));
  return absl::OkStatus();
}

absl::Status checkRopeTable(const Binding &binding) {
  if (binding.name != "cos" && binding.name != "sin")
    return wrong(binding, "must be cos or sin, since it is a rope table");
  if (absl::Status status = checkRope(binding.rope); !status.ok())
    return status;
  return expect(binding, DType::F32, {Dim::of("capacity"), Dim::number(binding.rope.dim / 2)});
}

absl::Status checkCarry(const Program &program, const Binding &binding) {
  if (binding.name != "before" && binding.name != "after")
    return wrong(binding, "must be before or after, since it is carried");
  if (binding.carry < 0 || binding.carry > kMaxNumber)
    return wrong(binding, "must have a carry of at least 0, got ", binding.carry);
  const std::vector<Dim> &dims = binding.dims;
  const bool isLeaf = binding.dtype == DType::F32 && dims.size() == 2 && dims[0] == Dim::of("cache_rows") && dims[1].isNumber();
  const bool isMaskOrOffset = binding.dtype == DType::I32 && dims.size() == 1 &&
                              (dims[0] == Dim::of("cache_rows") || dims[0] == Dim::number(1));
  if (!isLeaf && !isMaskOrOffset)
    return wrong(binding, "must be f32 (cache_rows, width), i32 (cache_rows) or i32 (1), since it is carried, got ",
                 info(binding.dtype).name, " ", dimsText(dims));
  int64_t partners = 0;
  for (const Binding &other : program.bindings)
    partners += other.kind == Kind::Carry && other.carry == binding.carry && other.name != binding.name &&
                other.dtype == binding.dtype && other.dims == binding.dims;
  if (partners != 1)
    return wrong(binding, "must have one partner of its carry, dtype and dims, got ", partners);
  return absl::OkStatus();
}

absl::Status checkOutput(const Program &program, const Binding &binding) {
  if (!isComputeType(binding.dtype))
    return wrong(binding, "must be f32, f16 or bf16, since it is an output, got ",
                 info(binding.dtype).name);
  if (binding.name == "logits")
    return expect(binding, binding.dtype, {Dim::of("rows"), Dim::number(program.model.vocabSize)});
  if (binding.dims.empty() ||
      (binding.dims[0] != Dim::of("rows") && binding.dims[0] != Dim::of("tokens")))
    return wrong(binding, "must have rows or tokens as its first dim, since it is an output, got ",
                 dimsText(binding.dims));
  for (size_t i = 1; i < binding.dims.size(); ++i)
    if (binding.dims[i].symbol == "rows" || binding.dims[i].symbol == "tokens")
      return wrong(binding, "must have rows that are as long in every call, got ",
                   dimsText(binding.dims));
  return absl::OkStatus();
}

absl::Status checkBinding(const Program &program, size_t index) {
  const Binding &binding = program.bindings[index];
  if (absl::Status status = checkDims(program, binding); !status.ok())
    return status;
  switch (binding.kind) {
  case Kind::Input:
    return checkInput(binding);
  case Kind::Parameter:
    return checkParameter(binding);
  case Kind::Cache:
    return checkCache(program, binding);
  case Kind::Rope:
    return checkRopeTable(binding);
  case Kind::Buffer:
    if (binding.slot < 0 || binding.slot > kMaxNumber)
      return wrong(binding, "must have a slot of at least 0, got ", binding.slot);
    return absl::OkStatus();
  case Kind::Output:
    return checkOutput(program, binding);
  case Kind::Trace:
    if (index + 1 != program.bindings.size())
      return wrong(binding, "must be the last binding, since it is the trace");
    return absl::OkStatus();
  case Kind::Carry:
    return checkCarry(program, binding);
  }
  return wrong(binding, "must have a kind");
}

absl::Status checkModel(const Program::Model &model) {
  const std::pair<std::string_view, int64_t> sizes[] = {{"vocab_size", model.vocabSize},
                                                        {"hidden_size", model.hiddenSize},
                                                        {"num_layers", model.numLayers},
                                                        {"max_length", model.maxLength}};
  for (auto [name, value] : sizes) {
    const int64_t most = name == "num_layers" ? kMaxNumber : (int64_t(1) << 31) - 1; // i32 inputs
    if (value < 1 || value > most)
      return invalidArgument("model ", name, " must be from 1 to ", most, ", got ", value);
  }
  return absl::OkStatus();
}

absl::Status checkSymbols(const Program &program) {
  std::set<std::string_view> seen;
  for (const std::string &symbol : program.symbols) {
    if (!isSymbol(symbol))
      return invalidArgument("symbol must be threads, tokens, batch, rows, capacity, source, "
                             "cache_rows or window:N, got '", symbol, "'");
    if (!seen.insert(symbol).second)
      return invalidArgument("symbol '", symbol, "' must be declared once, got it twice");
  }
  return absl::OkStatus();
}
} // namespace

std::optional<int64_t> windowOf(std::string_view symbol) {
  constexpr std::string_view prefix = "window:";
  if (symbol.substr(0, prefix.size()) != prefix)
    return std::nullopt;
  return parseNumber(symbol.substr(prefix.size()));
}

Binding Binding::of(Kind kind, std::string name, DType dtype, std::vector<Dim> dims) {
  Binding binding;
  binding.kind = kind;
  binding.name = std::move(name);
  binding.dtype = dtype;
  binding.dims = std::move(dims);
  return binding;
}

int64_t ringRows(int64_t window, int64_t capacity, int64_t chunk) {
  const int64_t visible = window + std::min(chunk, capacity) - 1;
  return std::min(capacity, (visible + 63) / 64 * 64);
}

absl::StatusOr<Dim> parseDim(std::string_view text) {
  Dim dim;
  std::string_view rest = text;
  if (size_t at = rest.find(" align "); at != rest.npos) {
    const std::optional<int64_t> multiple = parseNumber(rest.substr(at + 7));
    dim.multiple = multiple.value_or(0);
    rest = rest.substr(0, at);
  }
  if (size_t at = rest.find('+'); at != rest.npos) {
    dim.offset = parseNumber(rest.substr(at + 1)).value_or(-1);
    rest = rest.substr(0, at);
  }
  dim.symbol = rest;
  if (!isSymbol(rest) || dim.multiple < 1 || dim.offset < 0)
    return invalidArgument("dim must be a number or a symbol with '+N' and ' align N', got '", text,
                           "'");
  return dim;
}

std::string dimText(const Dim &dim) {
  if (dim.isNumber())
    return concat(dim.offset);
  std::string text = dim.symbol;
  if (dim.offset)
    text += concat("+", dim.offset);
  if (dim.multiple != 1)
    text += concat(" align ", dim.multiple);
  return text;
}

const Binding *Program::find(Kind kind, std::string_view name) const {
  for (const Binding &binding : bindings)
    if (binding.kind == kind && binding.name == name)
      return &binding;
  return nullptr;
}

bool Program::hasEncoder() const { return find(Kind::Cache, "cross_keys") != nullptr; }

absl::Status checkProgram(const Program &program) {
  if (absl::Status status = checkModel(program.model); !status.ok())
    return status;
  if (absl::Status status = checkSymbols(program); !status.ok())
    return status;
  std::set<std::pair<int64_t, std::string_view>> cacheSides;
  std::set<std::string_view> outputs;
  for (size_t index = 0; index < program.bindings.size(); ++index) {
    const Binding &binding = program.bindings[index];
    if (absl::Status status = checkBinding(program, index); !status.ok())
      return status;
    if ((binding.kind == Kind::Cache && !cacheSides.insert({binding.block, binding.name}).second) ||
        (binding.kind == Kind::Output && !outputs.insert(binding.name).second))
      return wrong(binding, "must appear once, got it twice");
  }
  for (const TracedKernel &kernel : program.kernels)
    for (const TracedKernel::Value &value : kernel.outputs)
      if (value.binding < 0 || value.binding >= int64_t(program.bindings.size()))
        return invalidArgument("kernel output '", value.name, "' must name one of ",
                               program.bindings.size(), " bindings, got ", value.binding);
  for (const SlotUsers &users : program.slotUsers)
    if (users.slot < 0 || users.slot > kMaxNumber)
      return invalidArgument("scratch must have a slot of at least 0, got ", users.slot);
  for (const StackScratch &scratch : program.stack)
    if (scratch.bytes < 1 || scratch.bytes > kMaxNumber)
      return invalidArgument("stack of kernel '", scratch.kernel, "' must be from 1 to 2^40 bytes, got ", scratch.bytes);
  return absl::OkStatus();
}

std::string conversionText(const Binding &parameter) {
  std::string text;
  if (!parameter.roundings.empty() || parameter.dtype != parameter.stored) {
    text = concat(parameter.roundings.empty() ? "widened " : "rounded ",
                  info(parameter.stored).name);
    for (DType dtype : parameter.roundings)
      text += concat(" to ", info(dtype).name);
    if (parameter.roundings.empty() || parameter.roundings.back() != parameter.dtype)
      text += concat(" to ", info(parameter.dtype).name);
  }
  if (parameter.transpose)
    text += text.empty() ? "transposed" : ", transposed";
  return text;
}

std::vector<int64_t> symbolValues(const Program &program, const Extents &extents) {
  std::vector<int64_t> values;
  for (const std::string &symbol : program.symbols) {
    if (std::optional<int64_t> window = windowOf(symbol))
      values.push_back(ringRows(*window, extents.capacity, extents.chunk));
    else
      values.push_back(symbol == "threads"  ? extents.threads
                       : symbol == "tokens" ? extents.tokens
                       : symbol == "batch"  ? extents.batch
                       : symbol == "rows"   ? extents.rows
                       : symbol == "source" ? extents.source
                       : symbol == "capacity" ? extents.capacity
                                              : extents.batch * extents.capacity);
  }
  return values;
}

int64_t dimValue(const Program &program, const Dim &dim, std::span<const int64_t> values) {
  int64_t value = dim.offset;
  for (size_t i = 0; !dim.isNumber() && i < program.symbols.size(); ++i)
    if (program.symbols[i] == dim.symbol)
      value += values[i];
  return (value + dim.multiple - 1) / dim.multiple * dim.multiple;
}

absl::StatusOr<uint64_t> byteSize(const Program &program, const Binding &binding,
                                  std::span<const int64_t> values) {
  if (binding.kind == Kind::Trace)
    return uint64_t(0);
  uint64_t bytes = byteSize(binding.dtype);
  for (const Dim &dim : binding.dims)
    if (__builtin_mul_overflow(bytes, uint64_t(dimValue(program, dim, values)), &bytes) ||
        bytes > kMaxBytes)
      return absl::OutOfRangeError(concat("binding '", binding.name,
                                          "' must have at most 2^56 bytes, got ",
                                          dimsText(binding.dims)));
  return bytes;
}

} // namespace graphc
