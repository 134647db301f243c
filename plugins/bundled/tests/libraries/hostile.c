/* Libraries that break the rules of friction_plugin.h, one a value of HOSTILE. */
#include "friction_plugin.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NULL_TABLE 1
#define NEWER 2
#define TINY 3
#define NO_CALL 4
#define LIST_NULL 5
#define LIST_LENGTH 6
#define LIST_JSON 7
#define LIST_NAME 8
#define ASK_JSON 9
#define ASK_NULL 10
#define ASK_LENGTH 11
#define ASK_ERROR 12
#define ASK_CODE 13
#define KEEP_LATE 14
#define PRINTS 15
#define HANGS 16
#define BUILD_ERROR 17
#define ASK_TYPE 18
#define FILES 19
#define DIES 20
#define LEAVES 21

static void say(const friction_out *out, const char *text) { out->write(out->to, text, strlen(text)); }

#if HOSTILE == DIES
__attribute__((constructor)) static void die(void) { raise(SIGSEGV); }
#endif
#if HOSTILE == LEAVES
__attribute__((constructor)) static void leave(void) { _exit(3); }
#endif
#if HOSTILE == HANGS
__attribute__((constructor)) static void hang(void) { for (;;) sleep(1); }
#endif

static int32_t list(const friction_out *out) {
  switch (HOSTILE) {
    case LIST_NULL: out->write(out->to, NULL, 40); return FRICTION_OK;
    case LIST_LENGTH: out->write(out->to, "[", (size_t)-1); return FRICTION_OK;
    case LIST_JSON: say(out, "[{\"kind\": \"condition\", \"nam"); return FRICTION_OK;
    case LIST_NAME: say(out, "[{\"kind\": \"condition\", \"name\": \"../evil\"}]"); return FRICTION_OK;
    case PRINTS: printf("{\"I am\": \"listing\"}\n"); break;
    default: break;
  }
  say(out, "[{\"kind\": \"condition\", \"name\": \"hostile\"}, {\"kind\": \"analyzer\", \"name\": \"hostile\"}]");
  return FRICTION_OK;
}

static int32_t build(friction_text plugin, friction_text config, friction_text context, void **instance,
                     const friction_out *error) {
  (void)plugin, (void)config, (void)context;
  if (HOSTILE == BUILD_ERROR) return say(error, "there is no file `words.txt`"), FRICTION_ERROR;
  *instance = NULL;
  return FRICTION_OK;
}

static int32_t call(void *instance, friction_text method, friction_text request, const friction_host *host,
                    const friction_out *out) {
  (void)instance, (void)request;
  if (memcmp(method.data, "needs", method.len) == 0) return FRICTION_UNKNOWN;
  if (memcmp(method.data, "analyze", method.len) == 0) {
    if (HOSTILE != FILES) return say(out, "{\"summary\": [\"fine\"]}"), FRICTION_OK;
    say(out, "{\"files\": [[\"../../escaped\", \"AAAA\"]]}");
    return FRICTION_OK;
  }
  if (memcmp(method.data, "keep", method.len) == 0) {
    /* Null pointers and wild requests to the host must be answered with errors. */
    host->decode(host->self, NULL, 0, NULL);
    /* Groups 0 and 1 are finished by then. The made-up replies of the plan begin with "word". */
    if (HOSTILE == KEEP_LATE && memmem(request.data, request.len, "\"group\":2", 9) &&
        !memmem(request.data, request.len, "\"text\":\"word", 12))
      return say(out, "lost in group 2"), FRICTION_ERROR;
    say(out, "{\"text\": \"kept\", \"removed_tokens\": 1}");
    return FRICTION_OK;
  }
  if (method.len != 3 || memcmp(method.data, "ask", 3) != 0) return FRICTION_UNKNOWN;
  switch (HOSTILE) {
    case ASK_JSON: say(out, "{\"text\": \"a\x01\xff"); return FRICTION_OK;
    case ASK_NULL: out->write(out->to, NULL, 7); return FRICTION_OK;
    case ASK_LENGTH: out->write(out->to, "{}", (size_t)1 << 62); return FRICTION_OK;
    case ASK_TYPE: say(out, "{\"text\": 7}"); return FRICTION_OK;
    case ASK_ERROR: say(out, "no words left"); return FRICTION_ERROR;
    case ASK_CODE: return -17;
    case PRINTS: printf("asking\033[31m "); break;
    default: break;
  }
  say(out, "{\"text\": \"What?\"}");
  return FRICTION_OK;
}

static friction_plugin_table table = {FRICTION_ABI_VERSION, sizeof(friction_plugin_table), list, build, NULL, call, NULL, NULL};

#ifndef NO_SYMBOL
const friction_plugin_table *friction_plugin(uint32_t host_version) {
  (void)host_version;
  switch (HOSTILE) {
    case NULL_TABLE: return NULL;
    case NEWER: table.version = 99; break;
    case TINY: table.size = 12; break;
    case NO_CALL: table.call = NULL; break;
    default: break;
  }
  return &table;
}
#endif
