// `norms` in C++: a hook that taps a site and computes the norm of the activations at each position, on the host.
//
//   c++ -std=c++17 -O2 -shared -fPIC -I. examples/norms.cpp -o libnorms.so
//
// Every exception is caught here: none may leave a function of the table.
#include "friction_plugin.h"
#include <cmath>
#include <exception>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

std::string_view view(friction_text t) { return {t.data, t.len}; }

void say(const friction_out *out, std::string_view text) { out->write(out->to, text.data(), text.size()); }

struct Norms {
  std::string site;
};

// Returns the text of `"site":"…"`, the only option.
std::string site_of(std::string_view config) {
  constexpr std::string_view key = "{\"site\":\"";
  if (config.substr(0, key.size()) != key || config.size() < key.size() + 2)
    throw std::invalid_argument("write `site = \"resid_post.1\"` and nothing else");
  return std::string(config.substr(key.size(), config.size() - key.size() - 2));
}

template <class F> int32_t guarded(const friction_out *out, F f) noexcept {
  try {
    say(out, f());
    return FRICTION_OK;
  } catch (const std::invalid_argument &e) {
    say(out, e.what());
    return FRICTION_ERROR;
  } catch (const std::exception &e) {
    say(out, e.what());
    return FRICTION_PANIC;
  } catch (...) {
    return FRICTION_PANIC;
  }
}

int32_t list(const friction_out *out) {
  return guarded(out, [] {
    return R"([{"kind": "hook", "name": "norms", "version": "0.1.0", "summary": "Norms of activations"}])";
  });
}

int32_t build(friction_text, friction_text config, friction_text, void **instance, const friction_out *error) {
  return guarded(error, [&] {
    *instance = new Norms{site_of(view(config))};
    return "";
  });
}

void drop(void *instance) { delete static_cast<Norms *>(instance); }

int32_t call(void *instance, friction_text method, friction_text, const friction_host *, const friction_out *out) {
  if (view(method) != "program") return FRICTION_UNKNOWN;
  return guarded(out, [&] {
    return R"({"taps": [{"site": ")" + static_cast<Norms *>(instance)->site + R"(", "position": "reply:2"}]})";
  });
}

int32_t read(void *, friction_text, const friction_tap *taps, size_t count, const friction_out *out) {
  return guarded(out, [&] {
    std::ostringstream answer;
    answer.precision(17);
    answer << "{";
    const char *comma = "";
    for (size_t t = 0; t < count; t++)
      for (size_t row = 0; row < taps[t].rows; row++) {
        double sum = 0;
        for (size_t i = 0; i < taps[t].width; i++) {
          double x = taps[t].data[row * taps[t].width + i];
          sum += x * x;
        }
        if (std::isnan(sum)) continue; // the reply was shorter
        answer << comma << "\"norm-" << row << "\": " << std::sqrt(sum);
        comma = ", ";
      }
    answer << "}";
    return answer.str();
  });
}

const friction_plugin_table table = {FRICTION_ABI_VERSION, sizeof(friction_plugin_table), list, build, drop, call, read,
                                     nullptr};

} // namespace

extern "C" const friction_plugin_table *friction_plugin(uint32_t) { return &table; }
