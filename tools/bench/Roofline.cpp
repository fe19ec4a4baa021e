// Both axes are logarithmic, so a limit is a straight line and a ratio a distance.
// Points carry numbers, which a list beside them explains: names beside points that
// lie close together could not be read. SVG is written as text; of what a plotting
// library does, only the placing of labels is more than arithmetic.
#include "tools/bench/Roofline.h"

#include "Runtime/Unicode.h"
#include "Support/Message.h"
#include "tools/bench/Numbers.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

namespace graphc::bench {

namespace {
// Pixels.
constexpr double kWidth = 1180, kLeft = 74, kPlotWidth = 600, kPlotHeight = 400;
constexpr double kHeader = 84, kPanelTop = 34, kPanelBottom = 56, kRow = 19;
constexpr double kList = kLeft + kPlotWidth + 26;

/// Told apart by people who see colours differently (Okabe and Ito).
constexpr const char *kColours[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"};

struct Roof {
  std::string name; ///< "2 threads"; empty if there is one only.
  Limits limits;    ///< All zero: no line is drawn.
};

struct Point {
  std::string name;
  Cost cost;
  double seconds, limitSeconds;
  double share;  ///< Of the step; 0 of runs.
  size_t colour; ///< And the roof of that index, if there are several.
  bool isSquare;
  double operations() const { return 2 * (cost.multiplyAdds.dot + cost.multiplyAdds.f32); }
  double intensity() const { return operations() / cost.bytes; }
  double rate() const { return operations() / seconds; }
  double limit() const { return operations() / limitSeconds; }
};

struct Panel {
  std::string title;
  std::vector<Roof> roofs;
  std::vector<Point> points;
};

/// `text` for XML: markup escaped, what no document may hold replaced.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : toValidUtf8(text)) {
    switch (c) {
    case '<': result += "&lt;"; break;
    case '>': result += "&gt;"; break;
    case '&': result += "&amp;"; break;
    case '"': result += "&quot;"; break;
    default: result += c >= 0 && c < ' ' ? ' ' : c;
    }
  }
  return result;
}

std::string textAt(double x, double y, std::string_view text, std::string_view attributes = "") {
  return concat(format("<text x=\"%.1f\" y=\"%.1f\"", x, y), attributes.empty() ? "" : " ", attributes, ">", escaped(text), "</text>\n");
}

std::string lineBetween(double x1, double y1, double x2, double y2, std::string_view attributes) {
  return concat(format("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" ", x1, y1, x2, y2), attributes, "/>\n");
}

/// "250 G", "1.2 T".
std::string prefixed(double value) {
  constexpr std::pair<double, const char *> kPrefixes[] = {{1e15, " P"}, {1e12, " T"}, {1e9, " G"}, {1e6, " M"}, {1e3, " k"}, {0, ""}};
  for (const auto &[unit, prefix] : kPrefixes)
    if (value >= unit)
      return format("%.3g%s", value / (unit ? unit : 1), prefix);
  return "0";
}

/// A logarithmic axis: `low` at `from` pixels, `high` at `to`.
struct Axis {
  double low, high, from, to;
  double at(double value) const { return from + (to - from) * std::log(value / low) / std::log(high / low); }
};

/// Rectangles that are taken, so that labels do not cover one another.
class Labels {
public:
  struct Box {
    double x, y, width, height;
  };
  void take(const Box &box) { boxes.push_back(box); }
  bool isFree(const Box &box) const {
    return std::ranges::none_of(boxes, [&](const Box &other) {
      return box.x < other.x + other.width && other.x < box.x + box.width && box.y < other.y + other.height && other.y < box.y + box.height;
    });
  }
  /// Where a box of that size finds room around (x, y), near first.
  Box place(double x, double y, double width, double height) {
    Box best{x + 8, y - height / 2, width, height};
    for (double distance = 9; distance < 120; distance += 7)
      for (const double turn : {0.0, 4.0, 7.0, 1.0, 3.0, 5.0, 2.0, 6.0}) { // right, left, then above and below
        const double angle = turn * M_PI / 4, reach = distance + width / 2;
        const Box box{x + reach * std::cos(angle) - width / 2, y + (distance + height / 2) * std::sin(angle) - height / 2, width, height};
        if (isFree(box)) {
          take(box);
          return box;
        }
      }
    take(best);
    return best;
  }

private:
  std::vector<Box> boxes;
};

class Drawing {
public:
  Drawing(const Panel &panel, double top) : panel(panel), top(top + kPanelTop) {
    double least = 1e300, most = 0, slowest = 1e300, fastest = 0;
    for (const Point &point : panel.points) {
      least = std::min(least, point.intensity()), most = std::max(most, point.intensity());
      slowest = std::min({slowest, point.rate(), point.limit()}), fastest = std::max({fastest, point.rate(), point.limit()});
    }
    for (const Roof &roof : panel.roofs)
      if (const double peak = std::max(roof.limits.dotPeak, roof.limits.f32Peak); peak > 0) {
        fastest = std::max(fastest, peak);
        most = std::max(most, peak / roof.limits.readBandwidth);
      }
    x = {least / 2, most * 3, kLeft, kLeft + kPlotWidth};
    y = {slowest / 2, fastest * 2, this->top + kPlotHeight, this->top};
  }

  std::string svg() {
    std::string text = textAt(kLeft, top - 12, panel.title, "class=\"title\"") + grid();
    for (const Point &point : panel.points)
      labels.take({x.at(point.intensity()) - 6, y.at(point.rate()) - 6, 12, 12});
    for (size_t i = 0; i < panel.roofs.size(); ++i)
      text += roof(panel.roofs[i], kColours[i % std::size(kColours)]);
    for (size_t i = 0; i < panel.points.size(); ++i)
      text += point(panel.points[i], i + 1);
    return text + list();
  }

  static double height(const Panel &panel) {
    return kPanelTop + std::max(kPlotHeight, kRow * double(panel.points.size() + 1)) + kPanelBottom;
  }

private:
  std::string grid() const {
    std::string text = format("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"frame\"/>\n", kLeft, top, kPlotWidth, kPlotHeight);
    const double bottom = top + kPlotHeight, right = kLeft + kPlotWidth;
    auto ticks = [](const Axis &axis, auto draw) {
      const bool isShort = axis.high / axis.low < 50; // a decade alone would have one label or two
      for (double decade = std::pow(10, std::floor(std::log10(axis.low))); decade <= axis.high; decade *= 10)
        for (const double step : {1.0, 2.0, 5.0})
          if (const double value = decade * step; value >= axis.low && value <= axis.high)
            draw(value, axis.at(value), step == 1 || isShort);
    };
    ticks(x, [&](double value, double at, bool isMain) {
      text += lineBetween(at, top, at, bottom, isMain ? "class=\"main\"" : "class=\"grid\"");
      if (isMain)
        text += textAt(at, bottom + 17, format("%g", value), "text-anchor=\"middle\"");
    });
    ticks(y, [&](double value, double at, bool isMain) {
      text += lineBetween(kLeft, at, right, at, isMain ? "class=\"main\"" : "class=\"grid\"");
      if (isMain)
        text += textAt(kLeft - 7, at + 4, prefixed(value), "text-anchor=\"end\"");
    });
    text += textAt(kLeft + kPlotWidth / 2, bottom + 37, "operations for each byte that must be read", "text-anchor=\"middle\"");
    const double middle = top + kPlotHeight / 2;
    return text + textAt(16, middle, "operations a second", format("text-anchor=\"middle\" transform=\"rotate(-90 16 %.1f)\"", middle));
  }

  /// The bandwidth up to the higher peak, and both peaks to the right of it.
  std::string roof(const Roof &roof, const char *colour) {
    const Limits &limits = roof.limits;
    if (limits.readBandwidth == 0)
      return "";
    const std::string stroke = concat("stroke=\"", colour, "\" stroke-width=\"1.6\"");
    const std::string prefix = roof.name.empty() ? "" : roof.name + ": ";
    std::string text;
    const double ridge = std::max(limits.dotPeak, limits.f32Peak) / limits.readBandwidth;
    // From where the line enters the frame.
    const double first = std::max(x.low, y.low / limits.readBandwidth);
    const double x1 = x.at(first), y1 = y.at(first * limits.readBandwidth), x2 = x.at(ridge), y2 = y.at(ridge * limits.readBandwidth);
    text += lineBetween(x1, y1, x2, y2, stroke);
    const double slope = std::atan2(y2 - y1, x2 - x1) * 180 / M_PI;
    const double along = roofsDrawn++ % 2 ? 0.35 : 0.72; // lines of neighbours are close
    const double middleX = x1 + (x2 - x1) * along, middleY = y1 + (y2 - y1) * along;
    text += textAt(middleX, middleY - 5, concat(prefix, "read ", prefixed(limits.readBandwidth), "B/s"),
                   format("class=\"limit\" text-anchor=\"middle\" style=\"fill:%s\" transform=\"rotate(%.1f %.1f %.1f)\"", colour, slope, middleX, middleY));
    for (const auto &[peak, name] : {std::pair(limits.dotPeak, "bf16 dots"), std::pair(limits.f32Peak, "f32 multiply-adds")}) {
      if (peak == 0)
        continue;
      const double at = y.at(peak), right = kLeft + kPlotWidth;
      text += lineBetween(x.at(peak / limits.readBandwidth), at, right, at, stroke);
      const std::string label = concat(prefix, name, " ", prefixed(peak), "/s");
      const double width = 5.9 * double(label.size());
      Labels::Box box{right - 4 - width, at - 15, width, 13};
      for (const double offset : {3.0, -28.0, 16.0}) // below, above what is above, below what is below
        if (!labels.isFree(box))
          box.y = at + offset;
      labels.take(box);
      text += textAt(right - 4, box.y + 10, label, concat("class=\"limit\" text-anchor=\"end\" style=\"fill:", colour, "\""));
    }
    return text;
  }

  /// A mark, a line up to the point's own limit, and its number.
  std::string point(const Point &point, size_t number) {
    const double px = x.at(point.intensity()), py = y.at(point.rate());
    const char *colour = kColours[point.colour % std::size(kColours)];
    std::string text = lineBetween(px, py, px, y.at(point.limit()), concat("stroke=\"", colour, "\" stroke-dasharray=\"2 3\""));
    text += point.isSquare ? format("<rect class=\"point\" x=\"%.1f\" y=\"%.1f\" width=\"10\" height=\"10\" fill=\"%s\">", px - 5, py - 5, colour)
                           : format("<circle class=\"point\" cx=\"%.1f\" cy=\"%.1f\" r=\"5.5\" fill=\"%s\">", px, py, colour);
    text += concat("<title>", escaped(point.name), "</title>", point.isSquare ? "</rect>\n" : "</circle>\n");
    const std::string label = concat(number);
    const Labels::Box box = labels.place(px, py, 7.5 * double(label.size()), 12);
    const double middleX = box.x + box.width / 2, middleY = box.y + box.height / 2;
    if (std::hypot(middleX - px, middleY - py) > 24)
      text += lineBetween(px, py, middleX, middleY, "class=\"leader\"");
    return text + textAt(middleX, middleY + 4, label, "class=\"number\" text-anchor=\"middle\"");
  }

  std::string list() const {
    double at = top + 11;
    const bool isOfStep = !panel.points.empty() && panel.points[0].share > 0;
    std::string text = textAt(kList + 374, at, "of limit", "class=\"small\" text-anchor=\"end\"");
    text += textAt(kList + 456, at, isOfStep ? "of the step" : "operations/s", "class=\"small\" text-anchor=\"end\"");
    for (size_t i = 0; i < panel.points.size(); ++i) {
      const Point &point = panel.points[i];
      const char *colour = kColours[point.colour % std::size(kColours)];
      at += kRow;
      text += textAt(kList + 16, at, concat(i + 1), "class=\"number\" text-anchor=\"end\"");
      text += point.isSquare ? format("<rect x=\"%.1f\" y=\"%.1f\" width=\"8\" height=\"8\" fill=\"%s\"/>", kList + 24, at - 8, colour)
                             : format("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" fill=\"%s\"/>", kList + 28, at - 4, colour);
      text += textAt(kList + 40, at, point.name);
      text += textAt(kList + 374, at, format("%.2f", point.limitSeconds / point.seconds), "text-anchor=\"end\"");
      text += textAt(kList + 456, at, isOfStep ? format("%.1f %%", 100 * point.share) : prefixed(point.rate()), "text-anchor=\"end\"");
    }
    return text;
  }

  const Panel &panel;
  const double top;
  Axis x, y;
  Labels labels;
  int roofsDrawn = 0;
};

std::string nameOf(const Measurement &run) {
  const bool isPrefill = run.phase == Measurement::Phase::Prefill;
  std::string name = isPrefill ? concat("prefill of ", run.tokens / run.batch) : concat("decode behind ", run.context);
  return concat(name, run.batch == 1 ? "" : concat(", batch ", run.batch), ", ", counted(run.threads, "thread"));
}

/// A roof and a colour for each number of threads; prefills are circles.
Panel panelOfRuns(const std::vector<Measurement> &runs) {
  Panel panel{"Runs", {}, {}};
  std::map<int64_t, size_t> roofOf;
  for (const Measurement &run : runs)
    if (roofOf.try_emplace(run.threads, panel.roofs.size()).second)
      panel.roofs.push_back({counted(run.threads, "thread"), medianLimits(runs, run.threads)});
  for (const Measurement &run : runs)
    panel.points.push_back({nameOf(run), run.cost, run.seconds(), run.ratio() * run.seconds(), 0, roofOf[run.threads],
                            run.phase == Measurement::Phase::Decode});
  return panel;
}

/// A colour for each kind of kernel; what multiplies nothing has no place on the axes.
Panel panelOf(const Profile &profile) {
  Panel panel{"Kernels of " + stepName(profile), {{"", profile.limits}}, {}};
  std::map<std::string, size_t> colourOf;
  for (const KernelTime &kernel : profile.kernels)
    if (kernel.cost.multiplyAdds.dot + kernel.cost.multiplyAdds.f32 > 0) {
      const size_t colour = colourOf.try_emplace(kernel.kind, colourOf.size()).first->second;
      panel.points.push_back({concat(kernel.kind, " ", kernel.layers), kernel.cost, kernel.seconds, kernel.limitSeconds,
                              kernel.seconds / profile.seconds, colour, false});
    }
  return panel;
}

constexpr std::string_view kStyle =
    "<style>text{font:12px system-ui,sans-serif;fill:#222}.head{font-size:17px;font-weight:600}.title{font-size:14px;font-weight:600}"
    ".small{font-size:11px;fill:#555}.limit{font-size:11px}.number{font-weight:600}.limit,.number{paint-order:stroke;stroke:#fff;"
    "stroke-width:3px}.frame{fill:none;stroke:#888}.grid{stroke:#eee}.main{stroke:#ccc}.leader{stroke:#888;stroke-width:.7}"
    ".point{stroke:#fff}</style>\n";
} // namespace

std::string rooflineSvg(const Subject &subject, const CompiledModel &compiled, const Benchmark &benchmark) {
  std::vector<Panel> panels;
  if (!benchmark.measurements.empty())
    panels.push_back(panelOfRuns(benchmark.measurements));
  for (const Profile &profile : benchmark.profiles)
    panels.push_back(panelOf(profile));
  double height = kHeader;
  std::string text;
  for (const Panel &panel : panels) {
    text += Drawing(panel, height).svg();
    height += Drawing::height(panel);
  }
  const std::string title = concat("Roofline of ", subject.name);
  return concat("<svg xmlns=\"http://www.w3.org/2000/svg\" ",
                format("width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n", kWidth, height, kWidth, height), "<title>",
                escaped(title), "</title>\n", kStyle, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
                textAt(24, 30, title, "class=\"head\""), textAt(24, 50, optionsText(subject, compiled, benchmark) + "; " + machineText(), "class=\"small\""),
                textAt(24, 66, "Lines are this machine's limits, measured beside the runs; a dotted line leads from a point to its own limit, for which dots and f32 multiply-adds count at their own peaks.",
                       "class=\"small\""),
                text, "</svg>\n");
}

} // namespace graphc::bench
