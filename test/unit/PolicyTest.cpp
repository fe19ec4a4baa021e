// Policy and pin rules: every form of the grammar, and every refusal with its
// full message.
#include "Support/Pin.h"
#include "Support/Policy.h"

#include <gtest/gtest.h>

using namespace graphc;

namespace {
std::string policyError(std::string_view text) {
  auto rule = parsePolicyRule(text);
  EXPECT_FALSE(rule.ok()) << text;
  return std::string(rule.status().message());
}
std::string pinError(std::string_view text) {
  auto rule = parsePinRule(text);
  EXPECT_FALSE(rule.ok()) << text;
  return std::string(rule.status().message());
}
} // namespace

TEST(PolicyRule, withoutSelectorIsForEverything) {
  auto rule = parsePolicyRule("compute=bf16,output=f32");
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_TRUE(rule->selector.isEverything());
  EXPECT_EQ(rule->compute, DType::BF16);
  EXPECT_EQ(rule->output, DType::F32);
  EXPECT_EQ(rule->params, std::nullopt);
  EXPECT_EQ(rule->text, "compute=bf16,output=f32");
}

TEST(PolicyRule, selectorEndsAtTheLastColonAndBlanksAreFree) {
  auto rule = parsePolicyRule(" op:rms_norm : params = f16 , compute=f32 ");
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_EQ(rule->selector.text(), "op:rms_norm");
  EXPECT_EQ(rule->params, DType::F16);
  EXPECT_EQ(rule->compute, DType::F32);
  EXPECT_EQ(parsePolicyRule("layers.0-3.*:compute=f32")->selector.text(), "layers.0-3.*");
  EXPECT_EQ(parsePolicyRule("*.kernel:params=bf16")->params, DType::BF16);
}

TEST(PolicyRule, severalRulesInOneText) {
  EXPECT_EQ(splitRules(" a:compute=f32,output=f16; ;b:params=f16;"),
            (std::vector<std::string_view>{"a:compute=f32,output=f16", "b:params=f16"}));
  EXPECT_TRUE(splitRules("").empty());
}

TEST(PolicyRule, refusals) {
  EXPECT_EQ(policyError("compute=bf61"),
            "policy rule 'compute=bf61': compute must be one of f32, f16, bf16, got 'bf61'; nearest: 'bf16'");
  EXPECT_EQ(policyError("output=i32"),
            "policy rule 'output=i32': output must be one of f32, f16, bf16, got 'i32'; nearest: 'f32'");
  EXPECT_EQ(policyError("compute="), "policy rule 'compute=': compute must be one of f32, f16, bf16, got nothing");
  EXPECT_EQ(policyError("comput=f32"),
            "policy rule 'comput=f32': key must be one of params, compute, output, got 'comput'; nearest: 'compute'");
  EXPECT_EQ(policyError("compute=f32,compute=f16"),
            "policy rule 'compute=f32,compute=f16': key 'compute' must appear once, got it twice");
  EXPECT_EQ(policyError("rms_norm:"),
            "policy rule 'rms_norm:': expected [SELECTOR:]KEY=DTYPE,.. with a key out of params, compute, output, got ''");
  EXPECT_EQ(policyError("bf16"),
            "policy rule 'bf16': expected [SELECTOR:]KEY=DTYPE,.. with a key out of params, compute, output, got 'bf16'");
  EXPECT_EQ(policyError(":compute=f32"),
            "policy rule ':compute=f32': selector must not be empty; '*' selects everything");
  EXPECT_EQ(policyError("layers.3-0:compute=f32"),
            "policy rule 'layers.3-0:compute=f32': range must run upwards, got '3-0'; write '0-3'");
  EXPECT_FALSE(parsePolicyRule("").ok());
  EXPECT_FALSE(parsePolicyRule("compute=f32,").ok());
}

TEST(PinRule, oneTypeIsForBothSides) {
  auto rule = parsePinRule("bf16");
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_TRUE(rule->selector.isEverything());
  EXPECT_EQ(rule->keys, PinElement{DType::BF16});
  EXPECT_EQ(rule->values, PinElement{DType::BF16});
  EXPECT_TRUE(parsePinRule("*:bf16")->selector.isEverything());
  EXPECT_TRUE(parsePinRule("auto")->keys->isAuto());
}

TEST(PolicyRule, parametersAloneMayBeStoredInEightBits) {
  EXPECT_EQ(parsePolicyRule("*.kernel:params=f8E4M3FN")->params, DType::F8E4M3FN);
  EXPECT_EQ(policyError("compute=f8E5M2"),
            "policy rule 'compute=f8E5M2': compute must be one of f32, f16, bf16, got 'f8E5M2'");
  EXPECT_EQ(policyError("params=f8e5m2"), "policy rule 'params=f8e5m2': params must be one of f32, f16, bf16, f8E4M3FN, "
                                          "f8E5M2, got 'f8e5m2'; nearest: 'f8E5M2'");
}

TEST(PinRule, sidesApart) {
  auto rule = parsePinRule("layers.0-3:k=bf16,v=auto");
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_EQ(rule->selector.text(), "layers.0-3");
  EXPECT_EQ(rule->keys, PinElement{DType::BF16});
  EXPECT_TRUE(rule->values->isAuto());
  EXPECT_EQ(parsePinRule("v=f16")->keys, std::nullopt);
  EXPECT_EQ(parsePinRule("k=int8,v=f8E5M2")->values, PinElement{DType::F8E5M2});
}

TEST(PinRule, refusals) {
  EXPECT_EQ(pinError("int4"), "pin rule 'int4': cache dtype must be one of f32, f16, bf16, int8, f8E4M3FN, f8E5M2, got "
                              "'int4'; nearest: 'int8'; 'auto' is the attention's compute type");
  EXPECT_NE(pinError("k=q8_0").find("here write int8"), std::string::npos);
  EXPECT_NE(pinError("q4_0").find("no counterpart"), std::string::npos);
  EXPECT_EQ(pinError("q=bf16"), "pin rule 'q=bf16': side must be k or v, got 'q'");
  EXPECT_EQ(pinError("k=bf16,k=f16"), "pin rule 'k=bf16,k=f16': side 'k' must appear once, got it twice");
  EXPECT_EQ(pinError("k=bf16,f16"), "pin rule 'k=bf16,f16': expected k=DTYPE,v=DTYPE or one DTYPE, got 'f16' among several");
  EXPECT_EQ(pinError("op:attention:bf16"),
            "pin rule 'op:attention:bf16': selector must be a name path, got 'op:attention'; cache slots have no kind");
  EXPECT_EQ(pinError(""), "pin rule '': cache dtype must be one of f32, f16, bf16, int8, f8E4M3FN, f8E5M2, got nothing; "
                          "'auto' is the attention's compute type");
  EXPECT_FALSE(parsePinRule("k=").ok());
  EXPECT_FALSE(parsePinRule("bf16,").ok());
}
