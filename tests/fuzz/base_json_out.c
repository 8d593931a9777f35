/* Fuzzes the writer of JSON: the input is a program of calls, each a letter and for texts a length
 * and bytes.
 *
 * Oracle: another JSON library reads back exactly what was written, laid out or not. */
#include <jansson.h>

#include "base/json_out.h"
#include "fuzz/fuzz.h"

#define NESTING_MAX 60

struct program {
    const uint8_t *at;
    const uint8_t *end;
    struct nj_json_out out;
    unsigned depth;
    json_t *open[NESTING_MAX + 1]; /* the same in the other library; [0] is an array around all */
};

static uint8_t next(struct program *program)
{
    return program->at < program->end ? *program->at++ : 0;
}

static struct nj_bytes next_text(struct program *program)
{
    size_t len = next(program);
    size_t left = (size_t)(program->end - program->at);
    len = len < left ? len : left;
    struct nj_bytes text = nj_bytes(program->at, len);
    program->at += len;
    return fuzz_is_utf8(text) ? text : nj_bytes(NULL, 0);
}

/* Into what is open; a key first where there has to be one. Takes the reference over. */
static void keep(struct program *program, json_t *value, const char *key)
{
    json_t *parent = program->open[program->depth];
    need(value != NULL);
    need((json_is_object(parent) ? json_object_set_new(parent, key, value)
                                 : json_array_append_new(parent, value)) == 0);
}

static void begin(struct program *program, bool is_object, const char *key)
{
    json_t *value = is_object ? json_object() : json_array();
    keep(program, value, key);
    program->open[++program->depth] = value;
    if (is_object) {
        nj_json_out_object(&program->out);
    } else {
        nj_json_out_array(&program->out);
    }
}

static void put_value(struct program *program, uint8_t what, const char *key)
{
    struct nj_bytes text;
    switch (what % 6) {
    case 0:
    case 1:
        begin(program, what % 6 == 0, key);
        break;
    case 2:
        text = next_text(program);
        nj_json_out_text(&program->out, text);
        keep(program, json_stringn(text.ptr ? (const char *)text.ptr : "", text.len), key);
        break;
    case 3: {
        int64_t number =
            (int64_t)((uint64_t)next(program) << 56 ^ (uint64_t)next(program) * 1000003);
        nj_json_out_int(&program->out, number);
        keep(program, json_integer(number), key);
        break;
    }
    case 4:
        nj_json_out_bool(&program->out, what & 8);
        keep(program, json_boolean(what & 8), key);
        break;
    default:
        nj_json_out_null(&program->out);
        keep(program, json_null(), key);
        break;
    }
}

static void step(struct program *program)
{
    uint8_t what = next(program);
    bool is_in_object = json_is_object(program->open[program->depth]);
    if (program->depth > 1 && (what >= 0xc0 || program->depth == NESTING_MAX)) {
        nj_json_out_end(&program->out);
        program->depth--;
        return;
    }
    char *key = is_in_object ? fuzz_text(next_text(program)) : NULL;
    if (is_in_object && !key) {
        return;
    }
    if (is_in_object) {
        nj_json_out_key(&program->out, key);
    }
    put_value(program, what, key);
    free(key);
}

static void run(const uint8_t *data, size_t size, bool is_pretty)
{
    struct program program = {.at = data, .end = data + size};
    struct nj_buf buf;
    json_t *all = json_array();
    nj_buf_init(&buf);
    nj_json_out_init(&program.out, &buf, is_pretty);
    program.open[0] = all;
    begin(&program, true, NULL);
    while (program.at < program.end) {
        step(&program);
    }
    for (; program.depth > 0; program.depth--) {
        nj_json_out_end(&program.out);
    }
    need(program.out.err == NJ_OK && program.out.nesting == 0);
    json_t *again = json_loadb((const char *)buf.data, buf.len, JSON_ALLOW_NUL, NULL);
    need(again && json_equal(again, json_array_get(all, 0)));
    json_decref(again);
    json_decref(all);
    nj_buf_fini(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= 4096) {
        run(data, size, false);
        run(data, size, true);
    }
    return 0;
}
