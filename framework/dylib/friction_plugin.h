/* friction_plugin.h: plugins for friction in any language that can be called from C.
 *
 * A dynamic library exports ONE function,
 *
 *     const friction_plugin_table *friction_plugin(uint32_t host_version);
 *
 * which returns a table of functions that stays valid until the process ends (a library is never
 * unloaded). Everything that crosses is plain data: texts are UTF-8 with a length (never NUL-terminated),
 * records are JSON, activations are f32. Both sides may be built by different compilers.
 *
 * OWNERSHIP
 *   Whatever a function is given is borrowed until it returns: do not keep the pointers, do not free them.
 *   A function answers by writing to the `friction_out` it was given, in as many pieces as it likes; the
 *   host copies the bytes. So no memory is ever freed by the side that did not allocate it. Instances
 *   belong to the library: made by `build`, destroyed by `drop`.
 *
 * RETURN CODES
 *   FRICTION_OK       the answer was written
 *   FRICTION_ERROR    what was written is a message for people: say what is wrong, where, what to do
 *   FRICTION_PANIC    like FRICTION_ERROR, for a defect of the plugin itself
 *   FRICTION_UNKNOWN  no such method (or plugin): the host uses its default, or says so
 *   No exception and no panic may cross; catch them and return FRICTION_PANIC. No longjmp.
 *
 * THREADS
 *   The host calls one function of one library at a time, from any thread. A library may start threads of
 *   its own. Host functions may be called only while the call that handed them over lasts: `decode` from
 *   that call's thread, the others from any, one at a time.
 *
 * STANDARD OUTPUT belongs to the host, whose --json is read by programs. What a library prints there is
 * taken away and shown on standard error. Print to stderr, or not at all.
 *
 * VERSIONS
 *   FRICTION_ABI_VERSION counts. Tables only grow at their end: `size` says how much of it a side knows.
 *   A host runs libraries of every version up to its own and refuses newer ones by name; what an old table
 *   lacks has a default. A library may look at `host_version` and return NULL to refuse a host that is too
 *   old for it.
 *     1  friction_plugin, list, build, drop, call, read
 *     2  validate: what is wrong in a table is told with its line before anything is built
 *
 * WHAT CANNOT BE DEFENDED: native code shares the host's memory. A library that writes through a wrong
 * pointer, frees twice or runs out of stack takes the process with it (finished groups are on disk and
 * the run resumes). Load what you trust; run what you do not in a container of its own.
 */
#ifndef FRICTION_PLUGIN_H
#define FRICTION_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FRICTION_ABI_VERSION 2

#define FRICTION_OK 0
#define FRICTION_ERROR 1
#define FRICTION_PANIC 2
#define FRICTION_UNKNOWN 3

#if defined(_WIN32)
#define FRICTION_EXPORT __declspec(dllexport)
#else
#define FRICTION_EXPORT __attribute__((visibility("default")))
#endif

/* UTF-8 text or JSON; `data` may be NULL where `len` is 0. */
typedef struct friction_text {
  const char *data;
  size_t len;
} friction_text;

/* Where a function writes its answer: out->write(out->to, bytes, count), any number of times. */
typedef struct friction_out {
  void *to;
  void (*write)(void *to, const char *data, size_t len);
} friction_out;

/* Activations: `rows` × `width` floats, row after row, NaN where a turn has no such token. */
typedef struct friction_tap {
  friction_text tap;   /* {"site": "resid_post.9", "position": "reply:5"} */
  const float *data;
  size_t rows;
  size_t width;
} friction_tap;

/* What a method may ask of the host while it runs. `size` is sizeof(friction_host) as the host knows it. */
typedef struct friction_host {
  size_t size;
  void *self;
  /* `keep` of a condition: the text of token ids, special tokens left out; where they end inside a character, the
     piece of it is left out too. */
  int32_t (*decode)(void *self, const uint32_t *ids, size_t count, const friction_out *out);
  /* `analyze`: {"name": …, "seed": …, "turns": [ … ]}: one object a turn, with the columns of
     turns.parquet, ordered by group, condition, arm and turn. */
  int32_t (*run)(void *self, const friction_out *out);
  /* `analyze`: activations of one conversation, [turns][positions][width], asked for by
     {"group": 0, "condition": "…", "arm": "", "site": "resid_post.9", "position": "prompt-end"}.
     FRICTION_UNKNOWN where they were not tapped. `*data` stays valid until the next call of the host. */
  int32_t (*tap)(void *self, friction_text which, const float **data, size_t shape[3], const friction_out *error);
  /* `analyze`: the findings of an analyzer that ran before, by name. FRICTION_UNKNOWN where there are none. */
  int32_t (*findings)(void *self, friction_text analyzer, const friction_out *out);
} friction_host;

/* The methods of `call`, by kind. Requests and answers are JSON; [x] may be left out.
 *
 * condition
 *   "ask"     {"seed", "group", "turn", "turns", "topic", "question"} → {"text": "…", ["phrase": 0]}
 *             `turn` counts from 1, `group` from 0. `phrase`: which of several wordings it is.
 *   "keep"    {"turn": <as above>, "reply": {"text": "…", "ids": [1, 2]}}
 *             → {"text": "…", ["removed_tokens": 0]}. Not called for the last turn.
 * dataset
 *   "categories"   null → [{"name": "law", "questions": 12}]
 *   "questions"    "law" → [{"id": "law_0", "category": "law", "text": "…", "options": ["…"], "answer": 1}]
 *   "prompt"       <question> → "…"
 *   "grade"        {"question": <question>, "reply": "…"} → {"parsed": "B" or null, "correct": true, ["others": {}]}
 *   "fingerprint"  null → "…"   identifies the data; stands in the run's lock
 * topics
 *   "choose"  {"categories": […], "seed": 0, "groups": 50, "turns": 14} → {"order": [[0, 3, …], …]}
 *             for each group the category (index) of each turn
 * hook
 *   "program" {"name", "layers", "hidden", "attn_width", "vocab", "parameters"} →
 *     {["taps": [{"site": "resid_post.9", "position": "prompt-end"}]],
 *      ["edits": [{"name": "e", "site": "resid_post.9", "at": "all"|"prompt"|"reply"|"prompt-end",
 *                  ["turns": [2, 5]],
 *                  "op": {"add": [floats]} | {"remove": [floats]}
 *                      | {"project": {"direction": [floats], "value": 0.0}}
 *                      | {"clamp": {"direction": [floats], "min": 0.0, "max": 1.0}}}]],
 *      ["arms": [{"name": "x", ["strengths": {"e": 1.0}], ["only": {"completion": "interrupt"}]}]],
 *      ["neutral": {"user": "…", "reply": "…"}]}
 * analyzer
 *   "needs"   null → {["taps": [[<site>, <position>]]], ["factors": ["completion"]],
 *                     ["first_turn": 2], ["turns": 2], ["levels": {"completion": 2}], ["pairs": ["completion"]],
 *                     ["filters": {"where": {"levels": {"tone": "polite"}, ["compared": ["completion"]]}}],
 *                     ["arms": true], ["cuts": true], ["wordings": true]}; what the study does not produce is refused before a token
 *   "analyze" null → {["summary": ["…"]], ["warnings": ["…"]], ["values": {}],
 *                     ["tables": [{"name": "t", "columns": [["x", {"number": [1.5]}], ["y", {"text": ["a"]}],
 *                                                           ["z", {"count": [3]}]]}]],
 *                     ["figures": [{"name", "caption", "svg", "png": <base64>}]],
 *                     ["files": [["name.bin", <base64>]]]}
 *
 * Numbers that JSON lacks (NaN, infinities) are null.
 */
typedef struct friction_plugin_table {
  uint32_t version;  /* FRICTION_ABI_VERSION of the header it was compiled with */
  uint32_t size;     /* sizeof(friction_plugin_table) there */

  /* [{"kind": "condition"|"dataset"|"topics"|"hook"|"analyzer", "name": "…", "version": "0.1.0",
       "summary": "one line", ["options": <JSON Schema, draft 7>]}] */
  int32_t (*list)(const friction_out *out);

  /* Makes an instance. plugin: {"kind", "name"}. config: its table in the manifest, without `plugin`,
     `name` and `factors`. context: {"base": <folder of the manifest>, "seed", "model", "backend",
     ["study": {"name", "seed", "groups", "turns"}], ["generation": {"max_new_tokens", …}]}.
     Refuse keys that you do not know: a misspelt option is an error. */
  int32_t (*build)(friction_text plugin, friction_text config, friction_text context, void **instance,
                   const friction_out *error);

  /* Destroys an instance. */
  void (*drop)(void *instance);

  /* Calls a method of an instance. */
  int32_t (*call)(void *instance, friction_text method, friction_text request, const friction_host *host,
                  const friction_out *out);

  /* Of a hook: reads what its own taps hold of a turn that is over, in the order of its program.
     turn: {"group", "condition", "arm", "factors", "turn", "reply"} → {"name": number, …}, stored with the
     turn as `reading_<hook>.<name>`. May be NULL. FRICTION_UNKNOWN: not asked again of this instance. */
  int32_t (*read)(void *instance, friction_text turn, const friction_tap *taps, size_t count,
                  const friction_out *out);

  /* Since 2. Checks a table before anything is opened. Answers a list of what is wrong,
     [{"at": ["keep", "tokens"], "message": "…", ["help": "…"]}]; `at` is the path below the table. May be
     NULL. */
  int32_t (*validate)(friction_text plugin, friction_text config, const friction_out *out);
} friction_plugin_table;

FRICTION_EXPORT const friction_plugin_table *friction_plugin(uint32_t host_version);

#ifdef __cplusplus
}
#endif
#endif
