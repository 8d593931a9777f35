/* See naive.h. */
#include "unit/mqtt/naive.h"

#include <stdlib.h>

/* RFC 3629 section 4, row by row. */
static const struct row {
    unsigned len;
    uint8_t low[4];
    uint8_t high[4];
} rows[] = {
    {1, {0x01}, {0x7f}},
    {2, {0xc2, 0x80}, {0xdf, 0xbf}},
    {3, {0xe0, 0xa0, 0x80}, {0xe0, 0xbf, 0xbf}},
    {3, {0xe1, 0x80, 0x80}, {0xec, 0xbf, 0xbf}},
    {3, {0xed, 0x80, 0x80}, {0xed, 0x9f, 0xbf}},
    {3, {0xee, 0x80, 0x80}, {0xef, 0xbf, 0xbf}},
    {4, {0xf0, 0x90, 0x80, 0x80}, {0xf0, 0xbf, 0xbf, 0xbf}},
    {4, {0xf1, 0x80, 0x80, 0x80}, {0xf3, 0xbf, 0xbf, 0xbf}},
    {4, {0xf4, 0x80, 0x80, 0x80}, {0xf4, 0x8f, 0xbf, 0xbf}},
};

static bool fits(const struct row *row, const uint8_t *at, size_t left)
{
    for (unsigned i = 0; i < row->len; i++) {
        if (i >= left || at[i] < row->low[i] || at[i] > row->high[i]) {
            return false;
        }
    }
    return true;
}

static bool is_noncharacter(const uint8_t *at, unsigned len)
{
    if (len == 3) {
        bool is_fdd0 = at[0] == 0xef && at[1] == 0xb7 && at[2] >= 0x90 && at[2] <= 0xaf;
        return is_fdd0 || (at[0] == 0xef && at[1] == 0xbf && at[2] >= 0xbe);
    }
    return len == 4 && (at[1] & 0x0f) == 0x0f && at[2] == 0xbf && at[3] >= 0xbe;
}

bool naive_utf8_is_valid(struct nj_bytes text)
{
    size_t i = 0;
    while (i < text.len) {
        unsigned len = 0;
        for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
            if (fits(&rows[r], text.ptr + i, text.len - i)) {
                len = rows[r].len;
            }
        }
        if (len == 0 || is_noncharacter(text.ptr + i, len)) {
            return false;
        }
        i += len;
    }
    return true;
}

/* Levels of a text as views; *count of them. To be freed. */
static struct nj_bytes *split(struct nj_bytes text, size_t *count)
{
    struct nj_bytes *levels = malloc((text.len + 1) * sizeof(*levels));
    size_t from = 0;
    *count = 0;
    for (size_t i = 0; i <= text.len; i++) {
        if (i == text.len || text.ptr[i] == '/') {
            levels[(*count)++] = nj_bytes(text.ptr + from, i - from);
            from = i + 1;
        }
    }
    return levels;
}

static bool is_level(struct nj_bytes level, char what)
{
    return level.len == 1 && level.ptr[0] == (uint8_t)what;
}

bool naive_matches(struct nj_bytes filter, struct nj_bytes topic)
{
    size_t filter_count;
    size_t topic_count;
    struct nj_bytes *want = split(filter, &filter_count);
    struct nj_bytes *have = split(topic, &topic_count);
    bool ends_open = is_level(want[filter_count - 1], '#');
    size_t fixed = filter_count - (ends_open ? 1 : 0);
    bool matches = ends_open ? topic_count >= fixed : topic_count == fixed;
    for (size_t i = 0; matches && i < fixed; i++) {
        matches = is_level(want[i], '+') || nj_bytes_equal(want[i], have[i]);
    }
    bool begins_wild = is_level(want[0], '+') || is_level(want[0], '#');
    if (topic.len && topic.ptr[0] == '$' && begins_wild) {
        matches = false;
    }
    free(want);
    free(have);
    return matches;
}

bool naive_filter_is_valid(struct nj_bytes filter)
{
    size_t count;
    struct nj_bytes *levels = split(filter, &count);
    bool is_valid = filter.len > 0 && filter.len <= 65535;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < levels[i].len; k++) {
            uint8_t byte = levels[i].ptr[k];
            bool is_alone = levels[i].len == 1;
            bool is_last = i + 1 == count;
            if (byte == 0 || (byte == '+' && !is_alone) ||
                (byte == '#' && !(is_alone && is_last))) {
                is_valid = false;
            }
        }
    }
    free(levels);
    return is_valid;
}
