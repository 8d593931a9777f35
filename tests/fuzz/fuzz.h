/* What fuzz targets share: an oracle that stops, and readings of text that are as naive as
 * possible, so that they fail in other ways than the code under test. */
#ifndef NJ_TESTS_FUZZ_FUZZ_H
#define NJ_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not NJ_ASSERT: a target says more than the code does, and stops in every kind of build. */
static inline void need(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* An exact copy with a NUL behind it; without, when `text` has one itself (then NULL). */
static inline char *fuzz_text(struct nj_bytes text)
{
    if (text.len > 0 && memchr(text.ptr, 0, text.len)) {
        return NULL;
    }
    char *copy = malloc(text.len + 1);
    need(copy != NULL);
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    copy[text.len] = '\0';
    return copy;
}

/* Length of the well-formed UTF-8 sequence at `at` by the table of the Unicode standard (3-7), its
 * value in *code; 0 = none. */
static inline size_t fuzz_char(const uint8_t *at, size_t left, uint32_t *code)
{
    static const struct {
        uint8_t first[2];
        uint8_t second[2];
        uint8_t len;
    } rows[] = {
        {{0x00, 0x7f}, {0x00, 0xff}, 1}, {{0xc2, 0xdf}, {0x80, 0xbf}, 2},
        {{0xe0, 0xe0}, {0xa0, 0xbf}, 3}, {{0xe1, 0xec}, {0x80, 0xbf}, 3},
        {{0xed, 0xed}, {0x80, 0x9f}, 3}, {{0xee, 0xef}, {0x80, 0xbf}, 3},
        {{0xf0, 0xf0}, {0x90, 0xbf}, 4}, {{0xf1, 0xf3}, {0x80, 0xbf}, 4},
        {{0xf4, 0xf4}, {0x80, 0x8f}, 4},
    };
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    for (size_t i = 0; left > 0 && i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = rows[i].len;
        if (at[0] < rows[i].first[0] || at[0] > rows[i].first[1]) {
            continue;
        }
        if (len > left || (len > 1 && (at[1] < rows[i].second[0] || at[1] > rows[i].second[1])) ||
            (len > 2 && at[2] >> 6 != 2) || (len > 3 && at[3] >> 6 != 2)) {
            return 0;
        }
        *code = at[0] & masks[len];
        for (size_t j = 1; j < len; j++) {
            *code = *code * 64 + (at[j] & 0x3f);
        }
        return len;
    }
    return 0;
}

static inline bool fuzz_is_utf8(struct nj_bytes text)
{
    uint32_t code;
    for (size_t at = 0, len; at < text.len; at += len) {
        len = fuzz_char(text.ptr + at, text.len - at, &code);
        if (len == 0) {
            return false;
        }
    }
    return true;
}

/* Nothing that a terminal obeys: well-formed, without C0 but newlines, DEL and C1. */
static inline bool fuzz_is_tame(struct nj_bytes text)
{
    uint32_t code;
    for (size_t at = 0, len; at < text.len; at += len) {
        len = fuzz_char(text.ptr + at, text.len - at, &code);
        bool is_control = code < 0x20 || (code >= 0x7f && code < 0xa0);
        if (len == 0 || (is_control && code != '\n')) {
            return false;
        }
    }
    return true;
}

#endif
