// A SAX handler of our own builds the values: the parser then reports errors
// by a call, never by an exception (this header is also compiled into folders
// without exceptions), and nesting is bounded, because copying and destroying
// a json value recurse.
#include "Support/Json.h"
#include "Support/File.h"
#include "Support/Message.h"

#include <limits>
#include <vector>

namespace graphc {

using nlohmann::json;

namespace {
constexpr size_t kMaxDepth = 256;

class Builder : public nlohmann::json_sax<json> {
public:
  json root;
  std::string error;

  bool null() override { return put(nullptr) != nullptr; }
  bool boolean(bool value) override { return put(value) != nullptr; }
  bool number_integer(number_integer_t value) override { return put(value) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return put(value) != nullptr; }
  bool number_float(number_float_t value, const string_t &) override {
    return put(value) != nullptr;
  }
  bool string(string_t &value) override { return put(std::move(value)) != nullptr; }
  bool binary(binary_t &) override { return false; } // text has none
  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t &name) override {
    auto [entry, isNew] = stack.back()->emplace(name, nullptr);
    if (!isNew) {
      error = concat("key '", name, "' must appear once in its object, got it twice");
      return false;
    }
    member = &*entry;
    return true;
  }
  bool parse_error(size_t position, const std::string &,
                   const nlohmann::detail::exception &cause) override {
    // "[json.exception.parse_error.101] parse error at ...": drop the tag.
    std::string_view message = cause.what();
    if (size_t end = message.find("] "); end != std::string_view::npos)
      message.remove_prefix(end + 2);
    error = concat("byte ", position, ": ", message);
    return false;
  }

private:
  json *put(json value) {
    if (stack.empty())
      return &(root = std::move(value));
    if (stack.back()->is_array()) {
      stack.back()->push_back(std::move(value));
      return &stack.back()->back();
    }
    return &(*member = std::move(value));
  }
  bool open(json container) {
    if (stack.size() == kMaxDepth) {
      error = concat("nesting must be at most ", kMaxDepth, " deep, got more");
      return false;
    }
    stack.push_back(put(std::move(container)));
    return true;
  }
  bool close() {
    stack.pop_back();
    return true;
  }

  /// The open containers, outermost first. An element's address is stable while
  /// it is open: its parent grows only after it is closed.
  std::vector<json *> stack;
  json *member = nullptr; ///< Where the value of the last key goes.
};

absl::Status wrongType(std::string_view key, std::string_view where, std::string_view expected,
                       std::string_view found) {
  return invalidArgument(where, where.empty() ? "" : ": ", "key '", key, "' must be ", expected,
                         ", got ", found);
}

/// The value of `key`, or nullptr if it is absent or null.
absl::StatusOr<const json *> lookUp(const json &object, std::string_view key,
                                    std::string_view where, std::string_view expected) {
  if (!object.is_object())
    return wrongType(key, where, concat(expected, " in an object"),
                     concat(describeJson(object), " in place of the object"));
  auto entry = object.find(key);
  return entry == object.end() || entry->is_null() ? nullptr : &*entry;
}

bool take(const json &value, int64_t &out) {
  if (value.is_number_unsigned()) {
    const auto number = *value.get_ptr<const json::number_unsigned_t *>();
    out = int64_t(number);
    return number <= uint64_t(std::numeric_limits<int64_t>::max());
  }
  if (!value.is_number_integer())
    return false;
  out = *value.get_ptr<const json::number_integer_t *>();
  return true;
}
bool take(const json &value, double &out) {
  if (value.is_number_unsigned())
    out = double(*value.get_ptr<const json::number_unsigned_t *>());
  else if (value.is_number_integer())
    out = double(*value.get_ptr<const json::number_integer_t *>());
  else if (value.is_number_float())
    out = *value.get_ptr<const json::number_float_t *>();
  else
    return false;
  return true;
}
bool take(const json &value, std::string &out) {
  if (!value.is_string())
    return false;
  out = *value.get_ptr<const std::string *>();
  return true;
}
bool take(const json &value, bool &out) {
  if (!value.is_boolean())
    return false;
  out = *value.get_ptr<const bool *>();
  return true;
}

template <typename T>
absl::StatusOr<std::optional<T>> getOptional(const json &object, std::string_view key,
                                             std::string_view where, std::string_view expected) {
  absl::StatusOr<const json *> value = lookUp(object, key, where, expected);
  if (!value.ok())
    return value.status();
  if (!*value)
    return std::optional<T>();
  T result;
  if (!take(**value, result))
    return wrongType(key, where, expected, describeJson(**value));
  return std::optional<T>(std::move(result));
}

template <typename T>
absl::StatusOr<T> getRequired(const json &object, std::string_view key, std::string_view where,
                              std::string_view expected) {
  absl::StatusOr<std::optional<T>> value = getOptional<T>(object, key, where, expected);
  if (!value.ok())
    return value.status();
  if (!*value)
    return wrongType(key, where, expected, object.contains(key) ? "null" : "nothing");
  return std::move(**value);
}

absl::StatusOr<const json *> getContainer(const json &object, std::string_view key,
                                          std::string_view where, bool array, bool optional) {
  const std::string_view expected = array ? "an array" : "an object";
  absl::StatusOr<const json *> value = lookUp(object, key, where, expected);
  if (!value.ok())
    return value.status();
  if (!*value) {
    if (optional)
      return nullptr;
    return wrongType(key, where, expected, object.contains(key) ? "null" : "nothing");
  }
  if (array ? !(*value)->is_array() : !(*value)->is_object())
    return wrongType(key, where, expected, describeJson(**value));
  return *value;
}
} // namespace

std::string describeJson(const json &value) {
  if (const std::string *text = value.get_ptr<const std::string *>())
    return concat("string '", text->substr(0, 60), text->size() > 60 ? "..'" : "'");
  if (value.is_object())
    return "an object";
  if (value.is_array())
    return concat("an array of ", value.size());
  // Scalars: dump cannot fail, since there is no text in them.
  return concat(value.is_number() ? "number " : "", value.dump());
}

absl::StatusOr<json> parseJson(std::string_view text, std::string_view nameForErrors) {
  Builder builder;
  if (!json::sax_parse(text.begin(), text.end(), &builder))
    return invalidArgument(nameForErrors, ": ", builder.error);
  return std::move(builder.root);
}

absl::StatusOr<json> parseJsonFile(const std::string &path) {
  absl::StatusOr<std::string> text = readFile(path, size_t(1) << 30);
  if (!text.ok())
    return text.status();
  return parseJson(*text, path);
}

absl::StatusOr<int64_t> getInt(const json &object, std::string_view key, std::string_view where) {
  return getRequired<int64_t>(object, key, where, "an integer");
}
absl::StatusOr<double> getDouble(const json &object, std::string_view key, std::string_view where) {
  return getRequired<double>(object, key, where, "a number");
}
absl::StatusOr<std::string> getString(const json &object, std::string_view key,
                                      std::string_view where) {
  return getRequired<std::string>(object, key, where, "a string");
}
absl::StatusOr<bool> getBool(const json &object, std::string_view key, std::string_view where) {
  return getRequired<bool>(object, key, where, "true or false");
}
absl::StatusOr<const json *> getArray(const json &object, std::string_view key,
                                      std::string_view where) {
  return getContainer(object, key, where, /*array=*/true, /*optional=*/false);
}
absl::StatusOr<const json *> getObject(const json &object, std::string_view key,
                                       std::string_view where) {
  return getContainer(object, key, where, /*array=*/false, /*optional=*/false);
}
absl::StatusOr<std::optional<int64_t>> getOptionalInt(const json &object, std::string_view key,
                                                      std::string_view where) {
  return getOptional<int64_t>(object, key, where, "an integer");
}
absl::StatusOr<std::optional<double>> getOptionalDouble(const json &object, std::string_view key,
                                                        std::string_view where) {
  return getOptional<double>(object, key, where, "a number");
}
absl::StatusOr<std::optional<std::string>>
getOptionalString(const json &object, std::string_view key, std::string_view where) {
  return getOptional<std::string>(object, key, where, "a string");
}
absl::StatusOr<std::optional<bool>> getOptionalBool(const json &object, std::string_view key,
                                                    std::string_view where) {
  return getOptional<bool>(object, key, where, "true or false");
}
absl::StatusOr<const json *> getOptionalArray(const json &object, std::string_view key,
                                              std::string_view where) {
  return getContainer(object, key, where, /*array=*/true, /*optional=*/true);
}
absl::StatusOr<const json *> getOptionalObject(const json &object, std::string_view key,
                                               std::string_view where) {
  return getContainer(object, key, where, /*array=*/false, /*optional=*/true);
}

} // namespace graphc
