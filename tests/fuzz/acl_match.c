/* Fuzzes decisions: the compiled ACL against the naive reference.
 *
 * Input: a byte of flags, then texts that end with NUL: file, user, client id, and topics up to the
 * end. Oracle: the same answer from the same line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mqtt/topic.h"
#include "security/acl.h"
#include "unit/security/naive_acl.h"

#define INPUT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool holds)
{
    if (!holds) {
        abort();
    }
}

static const char *take(const char **rest, const char *end)
{
    const char *text = *rest;
    if (text < end) {
        *rest = text + strlen(text) + 1;
    }
    return text;
}

static unsigned line_of(const struct nj_acl *acl, const struct nj_acl_answer *answer)
{
    char text[300];
    if (!answer->has_rule) {
        return 0;
    }
    (void)nj_acl_rule_text(acl, answer->rule_id, text, sizeof(text));
    return (unsigned)strtoul(text + 2, NULL, 10);
}

static void compare(const struct nj_acl *acl, const struct naive_acl *naive,
                    struct naive_query *naive_query, const char *topic)
{
    struct nj_acl_query query = {
        .user = nj_bytes_of(naive_query->user),
        .client_id = nj_bytes_of(naive_query->client),
        .user_list = nj_acl_user_list(acl, nj_bytes_of(naive_query->user)),
    };
    if (!nj_mqtt_topic_is_valid(nj_bytes_of(topic), 200)) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        query.is_write = naive_query->is_write = i;
        struct naive_answer want = naive_check(naive, naive_query, topic);
        struct nj_acl_answer have = nj_acl_check(acl, &query, nj_bytes_of(topic));
        need(want.allowed == have.allowed && want.line == line_of(acl, &have));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[INPUT_MAX + 1];
    if (size < 2 || size > INPUT_MAX) {
        return 0;
    }
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    const char *end = text + size - 1;
    const char *rest = text;
    const struct nj_acl_options options = {
        .leading_for_all = data[0] & 1, .any_case_keywords = true, .doubtful_as_text = true};
    struct nj_acl *acl;
    struct naive_acl naive;
    char error[200];
    const char *file = take(&rest, end);
    if (nj_acl_parse(nj_bytes_of(file), "f", &options, &acl, error, sizeof(error)) != NJ_OK) {
        return 0;
    }
    naive_parse(&naive, file);
    const char *user = take(&rest, end);
    struct naive_query query = {
        .user = data[0] & 2 ? NULL : user,
        .client = take(&rest, end),
        .leading_for_all = data[0] & 1,
    };
    while (rest < end) {
        compare(acl, &naive, &query, take(&rest, end));
    }
    naive_free(&naive);
    nj_acl_free(acl);
    return 0;
}
