// Support/Json: what is accepted, and that every refusal names the key, the
// expectation and the finding.
#include "Support/Json.h"

#include <gtest/gtest.h>

using namespace graphc;

static std::string failure(const absl::Status &status) { return std::string(status.message()); }

static nlohmann::json parsed(std::string_view text) {
  auto value = parseJson(text, "test");
  EXPECT_TRUE(value.ok()) << value.status();
  return value.ok() ? *std::move(value) : nlohmann::json();
}

TEST(Json, buildsWhatTheTextSays) {
  const nlohmann::json value =
      parsed(R"({"a": [1, -2, 2.5, "x", null, true, {"b": {}}], "c": []})");
  EXPECT_EQ(value.dump(), R"({"a":[1,-2,2.5,"x",null,true,{"b":{}}],"c":[]})");
  EXPECT_EQ(parsed("7").dump(), "7");
}

TEST(Json, getsTypedValues) {
  const nlohmann::json value =
      parsed(R"({"i": -3, "u": 18446744073709551615, "d": 0.5, "s": "x", "b": false, "n": null,
                 "l": [1], "o": {}})");
  EXPECT_EQ(*getInt(value, "i"), -3);
  EXPECT_EQ(*getDouble(value, "i"), -3.0);
  EXPECT_EQ(*getDouble(value, "d"), 0.5);
  EXPECT_EQ(*getString(value, "s"), "x");
  EXPECT_FALSE(*getBool(value, "b"));
  EXPECT_EQ((*getArray(value, "l"))->size(), 1u);
  EXPECT_TRUE((*getObject(value, "o"))->empty());
  EXPECT_EQ(*getOptionalInt(value, "n"), std::nullopt);
  EXPECT_EQ(*getOptionalString(value, "absent"), std::nullopt);
  EXPECT_EQ(*getOptionalBool(value, "b"), std::optional(false));
  EXPECT_EQ(*getOptionalDouble(value, "d"), std::optional(0.5));
  EXPECT_EQ(*getOptionalArray(value, "absent"), nullptr);
  EXPECT_NE(*getOptionalObject(value, "o"), nullptr);
}

TEST(Json, refusesWithKeyExpectedAndFound) {
  const nlohmann::json value =
      parsed(R"({"u": 18446744073709551615, "d": 1.0, "s": "x", "n": null, "l": []})");
  EXPECT_EQ(failure(getInt(value, "s", "config.json").status()),
            "config.json: key 's' must be an integer, got string 'x'");
  EXPECT_EQ(failure(getInt(value, "d").status()), "key 'd' must be an integer, got number 1.0");
  EXPECT_EQ(failure(getInt(value, "u").status()),
            "key 'u' must be an integer, got number 18446744073709551615");
  EXPECT_EQ(failure(getInt(value, "n").status()), "key 'n' must be an integer, got null");
  EXPECT_EQ(failure(getInt(value, "z").status()), "key 'z' must be an integer, got nothing");
  EXPECT_EQ(failure(getString(value, "l").status()), "key 'l' must be a string, got an array of 0");
  EXPECT_EQ(failure(getOptionalBool(value, "s").status()),
            "key 's' must be true or false, got string 'x'");
  EXPECT_EQ(failure(getObject(value, "l").status()),
            "key 'l' must be an object, got an array of 0");
  EXPECT_EQ(failure(getInt(value["l"], "k").status()),
            "key 'k' must be an integer in an object, got an array of 0 in place of the object");
}

TEST(Json, refusesHostileText) {
  EXPECT_FALSE(parseJson("", "t").ok());
  EXPECT_FALSE(parseJson("{\"a\": 1} x", "t").ok());
  EXPECT_FALSE(parseJson("\"\xff\"", "t").ok());
  EXPECT_FALSE(parseJson("1e999", "t").ok());
  EXPECT_EQ(failure(parseJson(R"({"a": 1, "a": 2})", "t").status()),
            "t: key 'a' must appear once in its object, got it twice");
  EXPECT_EQ(failure(parseJson(std::string(1000000, '['), "t").status()),
            "t: nesting must be at most 256 deep, got more");
  EXPECT_TRUE(parseJson(std::string(256, '[') + std::string(256, ']'), "t").ok());
  EXPECT_EQ(parseJsonFile("/nonexistent/x.json").status().code(), absl::StatusCode::kNotFound);
}
