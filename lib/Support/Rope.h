// Rotary position tables: model data, made in f32 in Hugging Face's order of
// operations under every policy (docs/Numerics.md, section 4), because angles
// from other arithmetic drift from the trained ones as positions grow.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

/// How frequencies are changed for contexts longer than the trained one. The
/// fields carry Hugging Face's `rope_parameters` under those names; each type
/// uses the fields that ropeFromJson demands or admits for it.
struct RopeScaling {
  enum class Type : uint8_t { None, Linear, Dynamic, Yarn, LongRope, Llama3 };
  Type type = Type::None;
  double factor = 1;
  int64_t originalMaxPositions = 0;        ///< Trained length in tokens.
  double lowFreqFactor = 0;                ///< llama3.
  double highFreqFactor = 0;               ///< llama3.
  double betaFast = 32;                    ///< yarn.
  double betaSlow = 1;                     ///< yarn.
  double mscale = 0;                       ///< yarn; 0 = absent.
  double mscaleAllDim = 0;                 ///< yarn; 0 = absent.
  bool truncate = true;                    ///< yarn: whole dimensions in the ramp.
  std::optional<double> attentionFactor;   ///< yarn, longrope; derived if absent.
  std::vector<double> shortFactor;         ///< longrope: (dim / 2).
  std::vector<double> longFactor;          ///< longrope: (dim / 2).
  bool operator==(const RopeScaling &) const = default;
};

struct RopeSpec {
  double base = 10000;      ///< rope_theta.
  int64_t dim = 0;          ///< Rotated dimensions of a head; even.
  bool interleaved = false; ///< Pairs (2i, 2i+1) instead of (i, i + dim/2); tables are the same.
  RopeScaling scaling;
  bool operator==(const RopeSpec &) const = default;
};

/// InvalidArgument, naming the key, unless every table of `spec` is finite. The
/// functions below require it.
absl::Status checkRope(const RopeSpec &spec);

/// True if tables depend on the session's length (dynamic, longrope).
bool dependsOnSessionLength(const RopeSpec &spec);

/// Radians per position of each pair: (dim / 2). `sessionLength` is the most
/// tokens the session declares to hold, fixed for its life, so that splitting a
/// prompt cannot change the angles; only dynamic and longrope read it.
std::vector<float> inverseFrequencies(const RopeSpec &spec, int64_t sessionLength);

/// What cos and sin are multiplied with: 1 except for yarn and longrope.
float ropeAttentionFactor(const RopeSpec &spec);

/// Fills rows 0 to rows - 1 of cos and sin, each (rows, dim / 2) row-major: for
/// row p, f32(cos(f32(p * inv[i]))), times the attention factor in f32.
void fillRopeTables(const RopeSpec &spec, int64_t sessionLength, int64_t rows,
                    std::span<float> cos, std::span<float> sin);

/// `{"base": .., "dim": .., "interleaved": true, "scaling": {"rope_type": ..}}`;
/// the last two only where they say something.
nlohmann::json ropeToJson(const RopeSpec &spec);

/// The spec of such an object, checked. `where` goes in front of messages.
/// Refused are a missing or unknown key and a value of another type.
absl::StatusOr<RopeSpec> ropeFromJson(const nlohmann::json &object, std::string_view where);

/// Only the `scaling` object, for a rope of `dim` rotated dimensions. Null
/// members count as absent. `rope_type` "default" is Type::None.
absl::StatusOr<RopeScaling> ropeScalingFromJson(const nlohmann::json &object,
                                                std::string_view where);
nlohmann::json ropeScalingToJson(const RopeScaling &scaling);

} // namespace graphc
