/* From the bytes of a request to a JSON value, with bounds that its sender cannot move. */
#include <malloc.h>

#include "base/mem.h"
#include "control/control_priv.h"

static void *take_memory(size_t size)
{
    return nj_try_alloc(size);
}

/* Requests hold passwords, and answers new secrets. */
static void wipe_memory(void *ptr)
{
    if (ptr) {
        nj_free_secret(ptr, malloc_usable_size(ptr));
    }
}

void nj_control_json_init(void)
{
    json_set_alloc_funcs(take_memory, wipe_memory);
}

void nj_control_json_text_free(char *text)
{
    wipe_memory(text);
}

/* Looks at the nesting before the parser does, whose recursion is its own affair. Quotes and
 * backslashes are all that has to be understood; whether it is JSON the parser says. */
static bool is_flat_enough(struct nj_bytes text)
{
    unsigned depth = 0;
    bool is_in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (is_in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                is_in_string = false;
            }
        } else if (c == '"') {
            is_in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > NJ_CONTROL_DEPTH_MAX) {
                return false;
            }
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        }
    }
    return true;
}

json_t *nj_control_json_parse(struct nj_bytes text)
{
    json_error_t error;
    if (!text.len || !is_flat_enough(text)) {
        return NULL;
    }
    /* The same key twice would mean one thing to us and another to whoever checked the text before
     * (L-035). */
    return json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
}
