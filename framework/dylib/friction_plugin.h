/* friction_plugin.h: plugins for friction in any language that can be called from C.
 *
 * A dynamic library exports ONE function,
 *
 *     const friction_plugin_table *friction_plugin(uint32_t host_version);
 *
 * which returns a table of functions that stays valid until the process ends (a library is never
 * unloaded). Host and library exchange plain data only: texts are UTF-8 with a length (never NUL-terminated),
 * records are JSON, activations are f32. They may be built by different compilers.
 *
 * OWNERSHIP
 *   The arguments of a function are borrowed until it returns: do not keep the pointers, do not free them.
 *   A function answers by writing to the `friction_out` it was given, in as many pieces as it likes; the
 *   host copies the bytes. So no memory is ever freed by the side that did not allocate it. Instances
 *   belong to the library: `build` makes them, `drop` destroys them.
 *
 * RETURN CODES
 *   FRICTION_OK       the answer was written
 *   FRICTION_ERROR    an error message for people was written: say what is wrong, where, and what to do
 *   FRICTION_PANIC    like FRICTION_ERROR, for a defect of the plugin itself
 *   FRICTION_UNKNOWN  there is no such method (or plugin): the host uses its default, or reports an error
 *   No exception and no panic may leave a function: catch them and return FRICTION_PANIC. No longjmp.
 *
 * THREADS
 *   The host calls one function of one library at a time, from any thread. A library may start threads of
 *   its own. Host functions may be called only until the call that passed them returns: `decode` from
 *   that call's thread, the others from any thread, one at a time.
 *
 * STANDARD OUTPUT belongs to the host, whose --json output is read by programs. What a library prints there is
 * captured and shown on standard error. Print to stderr, or not at all.
 *
 * VERSIONS
 *   FRICTION_ABI_VERSION is the version of this header. Tables only grow at their end: `size` says how many
 *   bytes of it a side knows. A host runs libraries of every version up to its own and refuses newer ones with
 *   a message; functions that an old table lacks have a default. A library may check `host_version` and return
 *   NULL to refuse a host that is too old for it.
 *     1  friction_plugin, list, build, drop, call, read
 *     2  validate: faults in a table are reported with their line before anything is built
 *     3  items in place of multiple-choice questions, and conditions that listen: `item`, `prompt` and `history` of a
 *        turn, `opening`, `rounds`, `bounds`; `prefill` and `replay` of a message; `items`, `item`, `opening`, `ordered` of
 *        a dataset; grades with a score; columns of turns. A library of version 1 or 2 is spoken to as that version's
 *        header says.
 *
 * NO PROTECTION: native code shares the host's memory. A library that writes through a wrong pointer, frees
 * twice or runs out of stack ends the process (finished groups are on disk and the run can be resumed). Load
 * only libraries that you trust, or run friction in a container.
 */
#ifndef FRICTION_PLUGIN_H
#define FRICTION_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FRICTION_ABI_VERSION 3

#define FRICTION_OK 0
#define FRICTION_ERROR 1
#define FRICTION_PANIC 2
#define FRICTION_UNKNOWN 3

#if defined(_WIN32)
#define FRICTION_EXPORT __declspec(dllexport)
#else
#define FRICTION_EXPORT __attribute__((visibility("default")))
#endif

/* UTF-8 text or JSON; `data` may be NULL if `len` is 0. */
typedef struct friction_text {
  const char *data;
  size_t len;
} friction_text;

/* Where a function writes its answer: out->write(out->to, bytes, count), any number of times. */
typedef struct friction_out {
  void *to;
  void (*write)(void *to, const char *data, size_t len);
} friction_out;

/* Activations of one turn at one tap: `rows` × `width` floats, row after row, one row per position. NaN where
 * the turn has no such token. */
typedef struct friction_tap {
  friction_text tap;   /* {"site": "resid_post.9", "position": "reply:5"} */
  const float *data;
  size_t rows;
  size_t width;
} friction_tap;

/* Functions of the host that a method may call while it runs. `size` is sizeof(friction_host) as the host knows
 * it. */
typedef struct friction_host {
  size_t size;
  void *self;
  /* For `keep` of a condition: the text of token ids, without special tokens. If the ids end inside a character, the
     incomplete character is left out. */
  int32_t (*decode)(void *self, const uint32_t *ids, size_t count, const friction_out *out);
  /* For `analyze`: {"name": …, "seed": …, "turns": [ … ]}. There is one object for each turn, with the columns of
     turns.parquet, ordered by group, condition, arm, sample and turn. */
  int32_t (*run)(void *self, const friction_out *out);
  /* For `analyze`: activations of one conversation, [turns][positions][width], selected by
     {"group": 0, "condition": "…", "arm": "", ["sample": 0], "site": "resid_post.9", "position": "prompt-end"}.
     FRICTION_UNKNOWN if they were not tapped. `*data` stays valid until the next call of a host function. */
  int32_t (*tap)(void *self, friction_text which, const float **data, size_t shape[3], const friction_out *error);
  /* For `analyze`: the findings of an analyzer that ran before, by name. FRICTION_UNKNOWN if there are none. */
  int32_t (*findings)(void *self, friction_text analyzer, const friction_out *out);
} friction_host;

/* The methods of `call`, by kind. Requests and answers are JSON; [x] may be left out.
 *
 * <item> is {"id": "law_0", "category": "law", "text": "…", ["choices": ["…"]], ["target": <index of a choice from 0>
 *          or "<text>" or ["<text>", …]], ["fixed_choices": true], ["script": [{"user": "…", ["reply": "…"]}]],
 *          ["opening": [<message>]], ["metadata": {}]}. Without `target` nothing is right or wrong; with `fixed_choices`
 *          the order of the choices carries meaning and is never changed; a `script` is asked over several turns.
 * <message> is {"role": "system"|"user"|"assistant", "content": "…"}.
 * Every method but `ask`, `categories`, `prompt`, `grade`, `fingerprint`, `choose`, `program` and `analyze` may be missing.
 *
 * condition
 *   "ask"     <turn> → {"text": "…", ["phrase": 0], ["prefill": "("], ["replay": "…"],
 *             ["replay_tokens": {"ids": [1, 2], ["stopped": true], ["stepwise": true]}],
 *             ["history": "none" or {"told": "…"}], ["filler": {"sentences": ["…"], ["place": "begin" or "end"],
 *             ["goal": "whole" or {"beyond": 24}]}]}, or null to end the conversation before this turn.
 *             <turn> is {"seed", "group", "sample", "turn", "turns", "round", "rounds", "topic", "item": <item>,
 *             "prompt": "…", "history": [{"turn", "round", "item": "<id>", "user", "reply", "kept", "removed_tokens",
 *             "reply_tokens", "finish_reason", "grade": <grade>}, …]}.
 *             `turn` counts from 1, `group` from 0; `round` counts the turns of the item from 1. `prompt`: what the
 *             dataset asks. `phrase`: index of the wording among several, from 0. `prefill` opens the reply. `replay`
 *             is the reply, which the model then reads and does not generate; `replay_tokens`: its ids in the study's
 *             tokenizer. `sample` is 0 in the checks before a run. `history`: the model reads the opening and
 *             this message alone, or this message behind a text that tells the exchanges before it. `filler`: neutral
 *             words are put into the message until the prompt is as long as with whole replies, or so many tokens longer
 *             than with the bare `prompt`. A host that does not know these two refuses a message that has them.
 *   "keep"    {"turn": <turn>, "reply": {"text": "…", "ids": [1, 2], "prefill": "…"}}
 *             → {"text": "…", ["removed_tokens": 0]}: what the history keeps after the prefill. Not called where no turn
 *             can follow. Missing: all of it.
 *   "opening" {"seed", "group", "items": [<item>], "given": [<message>]} → [<message>]: what stands before turn 1.
 *             Missing: `given`, the dataset's.
 *   "rounds"  <item> → 2: turns over which it is asked. Missing: the length of its script, or 1.
 *   "bounds"  null → {["reads_history": true], ["message_tokens": 500], ["schedule": "…"], ["complement": "…"]}: whether
 *             messages depend on `history`; the longest, where it may be longer than what `ask` says to made-up replies;
 *             the name of the schedule by which something happens in some turns, or of the one whose complement it has.
 *   The same request must be answered alike: a resumed run asks again.
 * dataset
 *   "categories"   null → [{"name": "law", "items": 12}]
 *   "items"        "law" → [<item>, …]. Missing: "item" is called when an item is needed.
 *   "item"         {"category": "law", "index": 0} → <item>
 *   "prompt"       <item> → "…": what the user says, if the item has no script
 *   "opening"      [<item>, …] → [<message>]: an instruction, worked examples. Missing: the opening of the first item.
 *   "grade"        {"item": <item>, "reply": "…"} → <grade>: {"score": 1.0 or null, "answer": "B" or null,
 *                  ["others": {"<parser>": "B" or null}], ["metrics": {"<name>": 0.5}]}. A score of null: not graded.
 *   "ordered"      null → true: items are taken in the dataset's order. Missing: they are shuffled.
 *   "fingerprint"  null → "…"   identifies the data; the run's lock stores it
 * topics
 *   "choose"  {"categories": […], "seed": 0, "groups": 50, "items": 14} → {"order": [[0, 3, …], …]}
 *             for each group, the index of each item's category
 * hook
 *   "program" {"name", "layers", "hidden", "attn_width", "vocab", "parameters"} →
 *     {["taps": [{"site": "resid_post.9", "position": "prompt-end"}]],
 *      ["unstored": [<as taps: `read` gets them after `taps`, and they are not stored>], "readings": ["<name>"]],
 *      ["edits": [{"name": "e", "site": "resid_post.9", "at": "all"|"prompt"|"reply"|"prompt-end",
 *                  ["turns": [2, 5]], ["gate": <readout>: applied where it is above 0],
 *                  "op": {"add": [floats]} | {"remove": [floats]}
 *                      | {"project": {"direction": [floats], "value": 0.0}}
 *                      | {"clamp": {"direction": [floats], "min": 0.0, "max": 1.0}}
 *                      | {"push": {"read": <readout>, "along": [floats], ["min": 0.0], ["max": 1.0]}}
 *                      | {"reconstruct": {"encoder": {"weights": [width × features], "bias": [features]},
 *                                         "least": [features], ["k": 64], "decoder": [features × width],
 *                                         "decoder_bias": [width]}}}]],
 *      ["arms": [{"name": "x", ["strengths": {"e": 1.0}], ["only": {"completion": "interrupt"}]}]],
 *      ["neutral": {"user": "…", "reply": "…"}]}
 *     <readout> is {"linear": {"vector": [floats], ["bias": 0.0], ["threshold": 0.0]}}
 *                or {"top-k": {"encoder": <as above>, "feature": 0, "k": 64}}.
 * analyzer
 *   "needs"   null → {["taps": [[<site>, <position>]]], ["factors": ["completion"]],
 *                     ["first_turn": 2], ["turns": 2], ["levels": {"completion": 2}], ["pairs": ["completion"]],
 *                     ["crossed": ["completion", "tone"]], ["primary": true],
 *                     ["filters": {"where": {"levels": {"tone": "polite"}, ["compared": ["completion"]]}}],
 *                     ["groups": 10], ["arms": true], ["hook": "steer"], ["arm": "random-03"], ["cuts": true],
 *                     ["wordings": true]}
 *             A study that does not produce these is refused before any token is generated.
 *   "analyze" null → {["question": "…?"], ["blocks": [<block>, …]], ["values": {}], ["files": [["name.bin", <base64>]]]}
 *             A block is {["section": "…"], ["n": 40, "of": "group"], ["unit": "points"], ["method": "…"],
 *             ["citation": "…"], ["status": "confirmatory"|"exploratory"],
 *             ["links": [{"group": 0, "condition": "…", ["arm": "…"], ["sample": 0], "turn": 1}]], and exactly one of
 *               "text": "…"       a sentence
 *               "warning": "…"    what a reader must know first
 *               "estimate": {"what": "b - a", ["unit": "points"], "value": 1.5, ["low", "high", "level": 0.95],
 *                            ["n": 40, "of": "group"], ["p": 0.01], ["null": 0], ["truth"], ["says"], ["digits": 2]}
 *               "verdict": {"level": "…", "claim": "…", "says": "reached"|"not reached"|"cannot be told",
 *                           ["evidence": ["…"]]}
 *               "table": {"name": "t", ["caption": "…"], ["shown": true],
 *                         "columns": [{"name": "x", ["title": "…"], ["unit": "%"], ["digits": 1],
 *                                      "number": [1.5, null] | "text": ["a", "b"] | "count": [3, 4]}]}
 *               "figure": {"name", "caption", "svg", "png": <base64>}}
 *             What earlier versions wrote in place of "blocks" is still read: ["estimates": […]], ["summary": ["…"]],
 *             ["warnings": ["…"]], ["tables": [{"name", "columns": [["x", {"number": [1.5]}]]}]], ["figures": […]].
 *
 * Numbers that JSON cannot hold (NaN, infinities) are null.
 */
typedef struct friction_plugin_table {
  uint32_t version;  /* FRICTION_ABI_VERSION of the header that the library was compiled with */
  uint32_t size;     /* sizeof(friction_plugin_table) in that header */

  /* [{"kind": "condition"|"dataset"|"topics"|"hook"|"analyzer", "name": "…", "version": "0.1.0",
       "summary": "one line", ["options": <JSON Schema, draft 7>]}] */
  int32_t (*list)(const friction_out *out);

  /* Makes an instance. plugin: {"kind", "name"}. config: its table in the manifest, without `plugin`, `name`,
     `factors` and `same_as`. context: {"base": <folder of the manifest>, "seed", "model", "backend",
     ["study": {"name", "seed", "groups", "turns"}], ["generation": {"max_new_tokens", …}],
     ["condition": {"name", "factors"}], for a condition alone;
     ["primary": {"contrast": "completion × turn", "outcome", "direction", "smallest", …}]}: `primary` is the contrast that
     the run's lock names.
     Refuse keys that you do not know: a misspelt option is an error. */
  int32_t (*build)(friction_text plugin, friction_text config, friction_text context, void **instance,
                   const friction_out *error);

  /* Destroys an instance. */
  void (*drop)(void *instance);

  /* Calls a method of an instance. */
  int32_t (*call)(void *instance, friction_text method, friction_text request, const friction_host *host,
                  const friction_out *out);

  /* Of a hook: computes numbers from the activations of a finished turn. `taps` are the hook's own, in the order of
     its program. turn: {"group", "condition", "arm", "sample", "factors", "turn", "reply"} → {"name": number, …}, stored with
     the turn as `reading_<hook>.<name>`. May be NULL. After FRICTION_UNKNOWN this instance is not asked again. */
  int32_t (*read)(void *instance, friction_text turn, const friction_tap *taps, size_t count,
                  const friction_out *out);

  /* Since version 2. Checks a table before anything is opened. Answers with a list of faults,
     [{"at": ["keep", "tokens"], "message": "…", ["help": "…"]}]; `at` is the path below the table. May be
     NULL. */
  int32_t (*validate)(friction_text plugin, friction_text config, const friction_out *out);
} friction_plugin_table;

FRICTION_EXPORT const friction_plugin_table *friction_plugin(uint32_t host_version);

#ifdef __cplusplus
}
#endif
#endif
