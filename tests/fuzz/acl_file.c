/* Fuzzes the reading of ACL files.
 *
 * Oracle: reading never crashes and an error has a text; what is accepted strictly is accepted with
 * everything tolerated, too; a rule that is named can be printed; and whatever may be read may be
 * subscribed to, by its own name and by '#'. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "security/acl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool holds)
{
    if (!holds) {
        abort();
    }
}

static struct nj_acl *parse(struct nj_bytes text, const struct nj_acl_options *options)
{
    struct nj_acl *acl = NULL;
    char error[200] = "";
    enum nj_err err = nj_acl_parse(text, "f", options, &acl, error, sizeof(error));
    need((err == NJ_OK) == (acl != NULL));
    need(err == NJ_OK || (err == NJ_EMALFORMED && strlen(error) > 0));
    return acl;
}

static void ask(const struct nj_acl *acl, struct nj_bytes user, struct nj_bytes topic)
{
    char text[300];
    struct nj_acl_query query = {
        .user = user,
        .client_id = NJ_BYTES_LIT("c"),
        .user_list = nj_acl_user_list(acl, user),
    };
    struct nj_acl_answer answer = nj_acl_check(acl, &query, topic);
    need(!answer.allowed || answer.has_rule);
    need(strlen(nj_acl_rule_text(acl, answer.rule_id, text, sizeof(text))) > 0);
    need(!answer.has_rule || strncmp(text, "f:", 2) == 0);
    if (answer.allowed) {
        need(nj_acl_check_filter(acl, &query, topic).allowed);
        need(topic.ptr[0] == '$' || nj_acl_check_filter(acl, &query, NJ_BYTES_LIT("#")).allowed);
    }
}

static void ask_all(const struct nj_acl *acl)
{
    static const char *const topics[] = {"a", "a/b", "a/b/c", "$SYS/a", "u/x", "/", "$", "c"};
    static const char *const users[] = {NULL, "u", "a", "", "+", "a/b"};
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        for (size_t j = 0; j < sizeof(users) / sizeof(users[0]); j++) {
            ask(acl, nj_bytes_of(users[j]), nj_bytes_of(topics[i]));
        }
    }
    for (size_t i = 0; i < nj_acl_warning_count(acl); i++) {
        need(strlen(nj_acl_warning(acl, i)) > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct nj_acl_options all[] = {
        {.leading_for_all = true, .any_case_keywords = true, .doubtful_as_text = true},
        {.leading_for_all = true, .any_case_keywords = true},
        {.doubtful_as_text = true},
        {.leading_for_all = true},
    };
    bool tolerated = false;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct nj_acl *acl = parse(nj_bytes(data, size), &all[i]);
        tolerated |= i == 0 && acl;
        need(!acl || tolerated);
        if (acl) {
            ask_all(acl);
        }
        nj_acl_free(acl);
    }
    return 0;
}
