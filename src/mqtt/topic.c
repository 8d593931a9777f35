/* See topic.h. */
#include "mqtt/topic.h"

#include "mqtt/swar_priv.h"

#define TOPIC_MAX 65535u

static unsigned count_levels(struct nj_bytes text)
{
    unsigned levels = 1;
    for (size_t i = 0; i < text.len; i++) {
        levels += text.ptr[i] == '/';
    }
    return levels;
}

static bool has_bad_size(struct nj_bytes text, unsigned levels_max)
{
    return text.len == 0 || text.len > TOPIC_MAX ||
           (levels_max && text.len >= levels_max && count_levels(text) > levels_max);
}

static bool is_wildcard(uint8_t byte)
{
    return byte == '+' || byte == '#';
}

/* Neither NUL nor a wildcard among eight bytes. */
static inline bool is_plain(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return !(nj_mqtt_zero_byte_in(word) | nj_mqtt_zero_byte_in(word ^ NJ_MQTT_EACH_BYTE('+')) |
             nj_mqtt_zero_byte_in(word ^ NJ_MQTT_EACH_BYTE('#')));
}

bool nj_mqtt_topic_is_valid(struct nj_bytes topic, unsigned levels_max)
{
    if (has_bad_size(topic, levels_max)) {
        return false;
    }
    /* Every PUBLISH comes through here: eight bytes at a time, the last ones overlap. */
    if (topic.len >= sizeof(uint64_t)) {
        size_t last = topic.len - sizeof(uint64_t);
        for (size_t i = 0; i < last; i += sizeof(uint64_t)) {
            if (!is_plain(topic.ptr + i)) {
                return false;
            }
        }
        return is_plain(topic.ptr + last);
    }
    for (size_t i = 0; i < topic.len; i++) {
        if (topic.ptr[i] == 0 || is_wildcard(topic.ptr[i])) {
            return false;
        }
    }
    return true;
}

bool nj_mqtt_filter_is_valid(struct nj_bytes filter, unsigned levels_max)
{
    if (has_bad_size(filter, levels_max) || memchr(filter.ptr, 0, filter.len)) {
        return false;
    }
    for (size_t i = 0; i < filter.len; i++) {
        if (!is_wildcard(filter.ptr[i])) {
            continue;
        }
        bool begins_level = i == 0 || filter.ptr[i - 1] == '/';
        bool ends_filter = i + 1 == filter.len;
        bool ends_level = ends_filter || (filter.ptr[i] == '+' && filter.ptr[i + 1] == '/');
        if (!begins_level || !ends_level) {
            return false;
        }
    }
    return true;
}

bool nj_mqtt_filter_has_wildcard(struct nj_bytes filter)
{
    return filter.len &&
           (memchr(filter.ptr, '+', filter.len) || memchr(filter.ptr, '#', filter.len));
}

bool nj_mqtt_is_share(struct nj_bytes filter)
{
    return nj_bytes_equal(filter, NJ_BYTES_LIT("$share")) ||
           nj_bytes_starts_with(filter, NJ_BYTES_LIT("$share/"));
}

bool nj_mqtt_share_parse(struct nj_bytes text, struct nj_bytes *group, struct nj_bytes *filter)
{
    if (!nj_bytes_starts_with(text, NJ_BYTES_LIT("$share/"))) {
        return false;
    }
    struct nj_bytes rest = nj_bytes(text.ptr + 7, text.len - 7);
    if (!nj_mqtt_next_level(&rest, group) || group->len == 0 ||
        nj_mqtt_filter_has_wildcard(*group) || rest.len == 0 || nj_mqtt_is_share(rest)) {
        return false;
    }
    *filter = rest;
    return true;
}

bool nj_mqtt_subscription_is_valid(struct nj_bytes text, unsigned levels_max)
{
    if (!nj_mqtt_is_share(text)) {
        return nj_mqtt_filter_is_valid(text, levels_max);
    }
    struct nj_bytes group;
    struct nj_bytes filter;
    return nj_mqtt_share_parse(text, &group, &filter) &&
           nj_mqtt_filter_is_valid(filter, levels_max);
}

static bool is_hidden(struct nj_bytes text)
{
    return text.len && text.ptr[0] == '$';
}

static bool begins_wild(struct nj_bytes filter)
{
    return filter.len && is_wildcard(filter.ptr[0]);
}

bool nj_mqtt_topic_matches(struct nj_bytes filter, struct nj_bytes topic)
{
    if (is_hidden(topic) && begins_wild(filter)) {
        return false;
    }
    struct nj_bytes want;
    struct nj_bytes have;
    while (nj_mqtt_next_level(&filter, &want)) {
        if (nj_mqtt_level_is(want, '#')) {
            return true;
        }
        if (!nj_mqtt_next_level(&topic, &have)) {
            return false;
        }
        if (!nj_mqtt_level_is(want, '+') && !nj_bytes_equal(want, have)) {
            return false;
        }
        /* "a/#" matches "a". */
        if (!topic.ptr && filter.ptr) {
            return nj_bytes_equal(filter, NJ_BYTES_LIT("#"));
        }
    }
    return !topic.ptr;
}

bool nj_mqtt_filter_covers(struct nj_bytes pattern, struct nj_bytes filter)
{
    if (is_hidden(filter) && begins_wild(pattern)) {
        return false;
    }
    /* Every topic has a first level, so this is all of them, too. */
    if (nj_bytes_equal(pattern, NJ_BYTES_LIT("+/#"))) {
        return true;
    }
    struct nj_bytes want;
    struct nj_bytes have;
    while (nj_mqtt_next_level(&pattern, &want)) {
        if (nj_mqtt_level_is(want, '#')) {
            return true;
        }
        if (!nj_mqtt_next_level(&filter, &have) || nj_mqtt_level_is(have, '#')) {
            return false;
        }
        if (!nj_mqtt_level_is(want, '+') && !nj_bytes_equal(want, have)) {
            return false;
        }
        /* "a/#" covers "a". */
        if (!filter.ptr && pattern.ptr) {
            return nj_bytes_equal(pattern, NJ_BYTES_LIT("#"));
        }
    }
    return !filter.ptr;
}

bool nj_mqtt_filter_overlaps(struct nj_bytes a, struct nj_bytes b)
{
    if ((is_hidden(a) && begins_wild(b)) || (is_hidden(b) && begins_wild(a))) {
        return false;
    }
    struct nj_bytes left;
    struct nj_bytes right;
    for (;;) {
        bool has_left = nj_mqtt_next_level(&a, &left);
        bool has_right = nj_mqtt_next_level(&b, &right);
        if (!has_left && !has_right) {
            return true;
        }
        if ((has_left && nj_mqtt_level_is(left, '#')) ||
            (has_right && nj_mqtt_level_is(right, '#'))) {
            return true;
        }
        if (!has_left || !has_right) {
            return false;
        }
        bool is_any = nj_mqtt_level_is(left, '+') || nj_mqtt_level_is(right, '+');
        if (!is_any && !nj_bytes_equal(left, right)) {
            return false;
        }
    }
}
