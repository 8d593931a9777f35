/* Fuzzes topics and filters: three texts, each on a line, taken as filter, filter and topic.
 * Oracle: the naive grammar and matcher; and that covering and overlapping contradict no match. */
#include "mqtt/topic.h"
#include "unit/mqtt/naive.h"
#include "unit/mqtt/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In a block of its own, to be freed. */
static struct nj_bytes next_line(struct nj_bytes *rest)
{
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] != '\n') {
        len++;
    }
    struct nj_bytes line = wire_copy(nj_bytes(rest->ptr, len));
    size_t used = len < rest->len ? len + 1 : len;
    if (used) {
        *rest = nj_bytes(rest->ptr + used, rest->len - used);
    }
    return line;
}

static bool naive_topic_is_valid(struct nj_bytes topic)
{
    for (size_t i = 0; i < topic.len; i++) {
        if (topic.ptr[i] == 0 || topic.ptr[i] == '+' || topic.ptr[i] == '#') {
            return false;
        }
    }
    return topic.len > 0 && topic.len <= 65535;
}

static unsigned naive_levels(struct nj_bytes text)
{
    unsigned levels = 1;
    for (size_t i = 0; i < text.len; i++) {
        levels += text.ptr[i] == '/';
    }
    return levels;
}

static void check_share(struct nj_bytes text)
{
    struct nj_bytes group;
    struct nj_bytes filter;
    if (!nj_mqtt_share_parse(text, &group, &filter)) {
        return;
    }
    NJ_ASSERT(nj_mqtt_is_share(text));
    NJ_ASSERT(group.ptr == text.ptr + 7 && group.len > 0);
    NJ_ASSERT(filter.ptr == group.ptr + group.len + 1 && filter.ptr[-1] == '/');
    NJ_ASSERT(filter.ptr + filter.len == text.ptr + text.len && filter.len > 0);
    NJ_ASSERT(!memchr(group.ptr, '/', group.len) && !nj_mqtt_filter_has_wildcard(group));
    NJ_ASSERT(nj_mqtt_subscription_is_valid(text, 0) == nj_mqtt_filter_is_valid(filter, 0));
}

static void check_grammar(struct nj_bytes text)
{
    bool is_filter = naive_filter_is_valid(text);
    bool is_topic = naive_topic_is_valid(text);
    unsigned levels = naive_levels(text);
    NJ_ASSERT(nj_mqtt_filter_is_valid(text, 0) == is_filter);
    NJ_ASSERT(nj_mqtt_topic_is_valid(text, 0) == is_topic);
    for (unsigned max = levels - 1; max <= levels + 1; max++) {
        bool fits = max == 0 || levels <= max;
        NJ_ASSERT(nj_mqtt_filter_is_valid(text, max) == (is_filter && fits));
        NJ_ASSERT(nj_mqtt_topic_is_valid(text, max) == (is_topic && fits));
    }
    check_share(text);
}

static void check_relations(struct nj_bytes a, struct nj_bytes b, struct nj_bytes topic)
{
    bool a_matches = naive_matches(a, topic);
    bool b_matches = naive_matches(b, topic);
    NJ_ASSERT(nj_mqtt_topic_matches(a, topic) == a_matches);
    NJ_ASSERT(nj_mqtt_topic_matches(b, topic) == b_matches);
    NJ_ASSERT(!(nj_mqtt_filter_covers(a, b) && b_matches && !a_matches));
    NJ_ASSERT(!(nj_mqtt_filter_covers(b, a) && a_matches && !b_matches));
    NJ_ASSERT(!(a_matches && b_matches) || nj_mqtt_filter_overlaps(a, b));
    NJ_ASSERT(nj_mqtt_filter_overlaps(a, b) == nj_mqtt_filter_overlaps(b, a));
    NJ_ASSERT(nj_mqtt_filter_covers(a, topic) == a_matches);
    NJ_ASSERT(nj_mqtt_filter_overlaps(a, topic) == a_matches);
    NJ_ASSERT(nj_mqtt_filter_covers(a, a) && nj_mqtt_filter_overlaps(a, a));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nj_bytes rest = nj_bytes(data, size);
    struct nj_bytes texts[3];
    for (unsigned i = 0; i < 3; i++) {
        texts[i] = next_line(&rest);
        check_grammar(texts[i]);
    }
    if (nj_mqtt_filter_is_valid(texts[0], 0) && nj_mqtt_filter_is_valid(texts[1], 0) &&
        nj_mqtt_topic_is_valid(texts[2], 0)) {
        check_relations(texts[0], texts[1], texts[2]);
    }
    for (unsigned i = 0; i < 3; i++) {
        wire_free(texts[i]);
    }
    return 0;
}
