/* `impatient` in plain C: the condition as it was written for versions 1 and 2 of the border.
 *
 *   cc -O2 -shared -fPIC -I. examples/impatient.c -o libimpatient.so
 *
 * It needs no JSON library: it reads a few numbers and one text of a request, and writes that text back
 * unchanged, with its escapes. */
#include "friction_plugin.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say(const friction_out *out, const char *text) { out->write(out->to, text, strlen(text)); }

/* Returns the end of the JSON value that starts at `p`. */
static const char *skip(const char *p, const char *end) {
  int depth = 0;
  while (p < end) {
    if (*p == '"') {
      for (p++; p < end && *p != '"'; p++)
        if (*p == '\\') p++;
    } else if (*p == '{' || *p == '[') {
      depth++;
    } else if (*p == '}' || *p == ']') {
      if (depth-- == 0) return p;
    } else if (*p == ',' && depth == 0) {
      return p;
    }
    p++;
  }
  return end;
}

/* Returns the value of a key of the object `json`, or an empty text. The host writes JSON without spaces. */
static friction_text get(friction_text json, const char *key) {
  const char *p = json.data, *end = json.data + json.len;
  size_t n = strlen(key);
  for (p++; p < end && *p == '"'; p++) {
    const char *name = p + 1;
    while (++p < end && *p != '"')
      if (*p == '\\') p++;
    const char *value = p + 2, *after = skip(value, end);
    if ((size_t)(p - name) == n && memcmp(name, key, n) == 0) return (friction_text){value, (size_t)(after - value)};
    p = after;
  }
  return (friction_text){NULL, 0};
}

static uint64_t number(friction_text json) {
  uint64_t n = 0;
  for (size_t i = 0; i < json.len && json.data[i] >= '0' && json.data[i] <= '9'; i++) n = 10 * n + (json.data[i] - '0');
  return n;
}

/* The same hash as friction_core::seed::derive, so that wordings are drawn as by the Rust plugin. */
static uint64_t fold(uint64_t h, const void *bytes, uint64_t len) {
  for (uint64_t i = 0; i < len; i++) h = (h ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3ULL;
  for (int i = 0; i < 8; i++) h = (h ^ ((len >> (8 * i)) & 255)) * 0x100000001b3ULL;
  return h;
}
static uint64_t fold_number(uint64_t h, uint64_t v) {
  unsigned char b[8];
  for (int i = 0; i < 8; i++) b[i] = (v >> (8 * i)) & 255;
  return fold(h, b, 8);
}
static uint64_t draw(uint64_t seed, uint64_t group, uint64_t turn) {
  uint64_t h = fold(0xcbf29ce484222325ULL, "phrase", 6);
  h = fold_number(fold_number(fold_number(h, seed), group), turn);
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ULL;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebULL;
  return h ^ (h >> 31);
}

/* A text that grows, for the answer of `decode`. */
typedef struct text {
  char *data;
  size_t len;
} text;
static void append(void *to, const char *data, size_t len) {
  text *t = to;
  char *more = realloc(t->data, t->len + len);
  if (!more) return;
  memcpy(more + t->len, data, len);
  t->data = more;
  t->len += len;
}

/* Writes the body of a JSON string. */
static void escaped(const friction_out *out, const char *s, size_t len) {
  for (size_t i = 0; i < len; i++) {
    char code[8];
    if (s[i] == '"' || s[i] == '\\') {
      snprintf(code, sizeof code, "\\%c", s[i]);
    } else if ((unsigned char)s[i] < 32) {
      snprintf(code, sizeof code, "\\u%04x", s[i]);
    } else {
      out->write(out->to, s + i, 1);
      continue;
    }
    say(out, code);
  }
}

typedef struct impatient {
  uint64_t patience;
} impatient;

static int32_t list(const friction_out *out) {
  say(out, "[{\"kind\": \"condition\", \"name\": \"impatient\", \"version\": \"0.1.0\","
           " \"summary\": \"Asks to be faster and cuts replies off\", \"options\": {\"type\": \"object\","
           " \"properties\": {\"patience\": {\"type\": \"integer\", \"minimum\": 1, \"examples\": [20],"
           " \"description\": \"Tokens of a reply that the history keeps.\"}},"
           " \"required\": [\"patience\"], \"additionalProperties\": false}}]");
  return FRICTION_OK;
}

#if FRICTION_ABI_VERSION >= 2
static int32_t validate(friction_text plugin, friction_text config, const friction_out *out) {
  (void)plugin;
  /* The configuration must be {"patience":N} and nothing else. */
  friction_text n = get(config, "patience");
  if (number(n) == 0)
    say(out, "[{\"at\": [\"patience\"], \"message\": \"`patience` must be at least 1\"}]");
  else if (n.len + strlen("{\"patience\":}") != config.len)
    say(out, "[{\"at\": [], \"message\": \"`patience` is the only option\"}]");
  else
    say(out, "[]");
  return FRICTION_OK;
}
#endif

static int32_t build(friction_text plugin, friction_text config, friction_text context, void **instance,
                     const friction_out *error) {
  (void)plugin, (void)context;
  impatient *self = malloc(sizeof *self);
  if (!self) return say(error, "out of memory"), FRICTION_ERROR;
  self->patience = number(get(config, "patience"));
  if (self->patience == 0) return free(self), say(error, "`patience` must be at least 1"), FRICTION_ERROR;
  *instance = self;
  return FRICTION_OK;
}

static void drop(void *instance) { free(instance); }

static int32_t ask(friction_text request, const friction_out *out) {
  static const char *wordings[] = {"Faster, please. ", "Hurry up. "};
  uint64_t turn = number(get(request, "turn"));
  friction_text question = get(request, "question"); /* with its quotes */
  say(out, "{\"text\": \"");
  if (turn > 1) {
    char phrase[64];
    uint64_t which = draw(number(get(request, "seed")), number(get(request, "group")), turn) % 2;
    say(out, wordings[which]);
    out->write(out->to, question.data + 1, question.len - 2);
    snprintf(phrase, sizeof phrase, "\", \"phrase\": %" PRIu64 "}", which);
    say(out, phrase);
  } else {
    out->write(out->to, question.data + 1, question.len - 2);
    say(out, "\"}");
  }
  return FRICTION_OK;
}

static int32_t keep(const impatient *self, friction_text request, const friction_host *host, const friction_out *out) {
  friction_text reply = get(request, "reply"), whole = get(reply, "text"), list = get(reply, "ids");
  uint32_t *ids = malloc(sizeof *ids * (list.len + 1));
  size_t count = 0;
  if (!ids) return say(out, "out of memory"), FRICTION_ERROR;
  for (const char *p = list.data + 1, *end = list.data + list.len - 1; p < end; count++) {
    const char *after = skip(p, end);
    ids[count] = (uint32_t)number((friction_text){p, (size_t)(after - p)});
    p = after + 1;
  }
  if (count <= self->patience) {
    say(out, "{\"text\": ");
    out->write(out->to, whole.data, whole.len);
    say(out, "}");
  } else {
    text cut = {NULL, 0};
    friction_out into = {&cut, append};
    int32_t code = host->decode(host->self, ids, self->patience, &into);
    if (code != FRICTION_OK) {
      out->write(out->to, cut.data, cut.len);
      return free(cut.data), free(ids), code;
    }
    while (cut.len > 0 && strchr(" \t\n\v\f\r", cut.data[cut.len - 1])) cut.len--;
    char removed[64];
    say(out, "{\"text\": \"");
    escaped(out, cut.data, cut.len);
    snprintf(removed, sizeof removed, " -\", \"removed_tokens\": %zu}", count - (size_t)self->patience);
    say(out, removed);
    free(cut.data);
  }
  return free(ids), FRICTION_OK;
}

static int32_t call(void *instance, friction_text method, friction_text request, const friction_host *host,
                    const friction_out *out) {
  if (method.len == 3 && memcmp(method.data, "ask", 3) == 0) return ask(request, out);
  if (method.len == 4 && memcmp(method.data, "keep", 4) == 0) return keep(instance, request, host, out);
  return FRICTION_UNKNOWN;
}

static const friction_plugin_table table = {
    .version = FRICTION_ABI_VERSION,
    .size = sizeof(friction_plugin_table),
    .list = list,
    .build = build,
    .drop = drop,
    .call = call,
#if FRICTION_ABI_VERSION >= 2
    .validate = validate,
#endif
};

const friction_plugin_table *friction_plugin(uint32_t host_version) {
  (void)host_version;
  return &table;
}
