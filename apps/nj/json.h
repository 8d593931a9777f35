/* JSON for the output of the tools: quoting, checking and laying out anew. No tree is built. */
#ifndef NJ_APPS_NJ_JSON_H
#define NJ_APPS_NJ_JSON_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/bytes.h"

#define NJ_JSON_DEPTH_MAX 1000

enum nj_json_layout {
    NJ_JSON_COMPACT,
    NJ_JSON_TABS,  /* as the original's --pretty */
    NJ_JSON_SPACES /* two spaces, for reading in a terminal */
};

struct nj_json_style {
    enum nj_json_layout layout;
    int depth;              /* of the value that is printed, for its indentation */
    bool has_exact_numbers; /* false: through a double and back, as the original */
    bool has_colour;        /* ANSI colours */
    bool replaces_bad_utf8; /* bytes that are no UTF-8 become U+FFFD; else they pass */
};

/* Appends `text` as a JSON string with its quotes. */
enum nj_err nj_json_quote(struct nj_buf *out, struct nj_bytes text,
                          const struct nj_json_style *style) NJ_NODISCARD;

/* Appends the JSON text laid out by `style`. NJ_EMALFORMED: it is not JSON, or deeper than
 * NJ_JSON_DEPTH_MAX; nothing was appended. */
enum nj_err nj_json_print(struct nj_buf *out, struct nj_bytes text,
                          const struct nj_json_style *style) NJ_NODISCARD;

#endif
