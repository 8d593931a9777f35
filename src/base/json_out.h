/* Writing JSON into a buffer, piece by piece, without a tree of it in memory.
 *
 * The caller keeps the grammar: a key before each value of an object, an end for each begin. Commas
 * and, when `is_pretty`, line ends and tabs come by themselves; they are those of the cJSON
 * library, so that files look as Mosquitto wrote them. An error sticks and is asked for once, at
 * the end. */
#ifndef NJ_BASE_JSON_OUT_H
#define NJ_BASE_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct nj_json_out {
    struct nj_buf *buf; /* appended to */
    bool is_pretty;
    bool needs_comma;
    bool is_after_key;
    unsigned depth;   /* tabs before a key: arrays count, too */
    uint64_t objects; /* bit n: what is open at nesting n is an object */
    unsigned nesting; /* at most 64 */
    enum nj_err err;
};

void nj_json_out_init(struct nj_json_out *out, struct nj_buf *buf, bool is_pretty);
void nj_json_out_object(struct nj_json_out *out);
void nj_json_out_array(struct nj_json_out *out);
void nj_json_out_end(struct nj_json_out *out);
void nj_json_out_key(struct nj_json_out *out, const char *key);
/* Valid UTF-8; ptr NULL is written as an empty text. */
void nj_json_out_text(struct nj_json_out *out, struct nj_bytes text);
void nj_json_out_int(struct nj_json_out *out, int64_t value);
void nj_json_out_bool(struct nj_json_out *out, bool value);
void nj_json_out_null(struct nj_json_out *out);

#endif
