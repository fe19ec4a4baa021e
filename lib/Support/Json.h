// JSON with errors instead of exceptions: parsing that survives hostile text,
// and typed getters whose errors name the key, what was expected and what is
// there. Use these rather than json::parse, at() or get<>(): those throw.
#pragma once

#include <absl/status/statusor.h>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace graphc {

/// Parses `text`. `nameForErrors` (a file name) starts every message. Refused:
/// malformed text, invalid UTF-8, arrays or objects nested more than 256 deep,
/// and an object that has a key twice.
absl::StatusOr<nlohmann::json> parseJson(std::string_view text, std::string_view nameForErrors);

/// Reads and parses the file at `path` (at most 1 GiB).
absl::StatusOr<nlohmann::json> parseJsonFile(const std::string &path);

/// What `value` is, for a message after "got": "string 'abc'", "an object".
std::string describeJson(const nlohmann::json &value);

// Getters: the value of `key` in `object`, or InvalidArgument such as
// "config.json: key 'hidden_size' must be an integer, got string 'abc'". `where`
// (may be empty) goes in front. A number with a fraction or exponent is no
// integer; getDouble takes integers too. `object` itself may be any value: if
// it is no object, that is the error.
absl::StatusOr<int64_t> getInt(const nlohmann::json &object, std::string_view key,
                               std::string_view where = "");
absl::StatusOr<double> getDouble(const nlohmann::json &object, std::string_view key,
                                 std::string_view where = "");
absl::StatusOr<std::string> getString(const nlohmann::json &object, std::string_view key,
                                      std::string_view where = "");
absl::StatusOr<bool> getBool(const nlohmann::json &object, std::string_view key,
                             std::string_view where = "");
/// The pointers of getArray and getObject live as long as `object`.
absl::StatusOr<const nlohmann::json *> getArray(const nlohmann::json &object, std::string_view key,
                                                std::string_view where = "");
absl::StatusOr<const nlohmann::json *> getObject(const nlohmann::json &object, std::string_view key,
                                                 std::string_view where = "");

// The same for keys that may be absent or null: nullopt (nullptr) then. A value
// of another type is still an error.
absl::StatusOr<std::optional<int64_t>>
getOptionalInt(const nlohmann::json &object, std::string_view key, std::string_view where = "");
absl::StatusOr<std::optional<double>>
getOptionalDouble(const nlohmann::json &object, std::string_view key, std::string_view where = "");
absl::StatusOr<std::optional<std::string>>
getOptionalString(const nlohmann::json &object, std::string_view key, std::string_view where = "");
absl::StatusOr<std::optional<bool>>
getOptionalBool(const nlohmann::json &object, std::string_view key, std::string_view where = "");
absl::StatusOr<const nlohmann::json *>
getOptionalArray(const nlohmann::json &object, std::string_view key, std::string_view where = "");
absl::StatusOr<const nlohmann::json *>
getOptionalObject(const nlohmann::json &object, std::string_view key, std::string_view where = "");

} // namespace graphc
