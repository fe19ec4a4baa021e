// The C header that goes with a shared object: what it has, what it was made
// with, and how a C program runs it.
#include "Compiler/State.h"
#include "Support/Message.h"

#include <algorithm>

namespace graphc {

using Kind = Binding::Kind;

static std::string dims(const Binding &binding) {
  std::vector<std::string> texts;
  for (const Dim &dim : binding.dims)
    texts.push_back(dimText(dim));
  return concat("(", join(texts), ")");
}

/// Text from options and models, safe inside a // comment.
static std::string commentSafe(std::string_view text) {
  std::string safe(text);
  for (char &c : safe)
    if (c == '\n' || c == '\r' || c == '\\')
      c = ' ';
  return safe;
}

std::string headerText(const Program &program, const std::string &name) {
  const Program::Model &model = program.model;
  std::string text = concat(
      "// ", commentSafe(name), ": ", commentSafe(model.family), ", ", model.numLayers, " layers, hidden ", model.hiddenSize,
      ", vocabulary ", model.vocabSize, ", up to ", model.maxLength, " tokens.\n// Compiled by graphc " GRAPHC_VERSION " for ",
      program.targetName, "; policy '", commentSafe(program.policy), "', pin '", commentSafe(program.pin), "', outputs ",
      commentSafe(join(program.outputs)),
      ".\n//\n"
      "// Most programs run it through libgraphc_runtime, which binds weights, cache and\n"
      "// memory (graphc/c/graphc.h):\n//\n"
      "//   graphc_model *model = graphc_open(\"", commentSafe(name), "\", \"checkpoint/\", NULL);\n"
      "//   graphc_session *session = graphc_session_open(model, NULL, NULL);\n"
      "//   const char *prompt = \"Once upon a time\";\n"
      "//   graphc_generate_text(session, &prompt, 1, NULL, print_token, NULL, NULL, NULL);\n"
      "//\n"
      "// The entries themselves take one pointer a binding and one number a symbol. All\n"
      "// memory is dense and row-major; weights as the checkpoint stores them, unless\n"
      "// the manifest lists roundings.\n"
      "#ifndef GRAPHC_MODEL_H\n#define GRAPHC_MODEL_H\n\n#include <stdint.h>\n\n"
      "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n"
      "/* The manifest: JSON text. */\nextern const char ", kManifestSymbol, "[];\n"
      "/* Any number of new tokens a sequence. */\nvoid ", kPrefillSymbol, "(void *const *pointers, const int64_t *dims);\n"
      "/* At most one. */\nvoid ", kDecodeSymbol, "(void *const *pointers, const int64_t *dims);\n");
  if (program.hasEncoder())
    text += concat("/* Whole sources, whose rows go into the cross caches. */\nvoid ", kEncoderSymbol,
                   "(void *const *pointers, const int64_t *dims);\n");
  text += "\n";
  text += concat("#define GRAPHC_NUM_POINTERS ", program.bindings.size(), "\n#define GRAPHC_NUM_DIMS ", program.symbols.size(),
                 "\n\n/* dims:\n");
  for (size_t i = 0; i < program.symbols.size(); ++i)
    text += concat("   ", i, " ", program.symbols[i], "\n");
  text += "   pointers:\n";
  for (size_t i = 0; i < program.bindings.size(); ++i) {
    const Binding &binding = program.bindings[i];
    std::string line = concat("   ", i, " ", binding.name, " ", info(binding.dtype).name, " ", dims(binding));
    if (binding.kind == Kind::Carry)
      line += concat(", carry ", binding.carry, ": after one call it is before the next");
    if (binding.kind == Kind::Parameter)
      line += concat(" = ", binding.source);
    // A name with a comment's end in it would let the model write C.
    for (size_t at; (at = line.find("*/")) != line.npos;)
      line[at] = ' ';
    text += commentSafe(line) + "\n";
  }
  return text + "*/\n\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
}

} // namespace graphc
