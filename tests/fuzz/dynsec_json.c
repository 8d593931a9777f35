/* The file of dynamic security: whatever is loaded is saved, loaded again and saved the same; and
 * whatever is asked about it has an answer. */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "security/authz.h"
#include "security/dynsec_file.h"
#include "security/dynsec_principal.h"
#include "security/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct nj_dynsec_state *load(struct nj_bytes text, struct nj_dynsec_principals *principals)
{
    struct nj_dynsec_load how = {.knows_all_keys = text.len % 2 == 0};
    struct nj_dynsec_state *state = NULL;
    enum nj_err err = nj_dynsec_load(text, principals, &how, &state);
    NJ_ASSERT((err == NJ_OK) == (state != NULL));
    NJ_ASSERT(err != NJ_EMALFORMED || how.error[0]);
    return state;
}

static void count_doubt(void *arg, const struct nj_dynsec_place *place, enum nj_dynsec_doubt doubt,
                        const char *text)
{
    size_t *bad = arg;
    NJ_ASSERT(place->line && place->column && text[0]);
    *bad += doubt == NJ_DYNSEC_BAD;
}

static void pass_client(void *arg, const struct nj_dynsec_place *place,
                        const struct nj_dynsec_client *client)
{
    (void)arg;
    NJ_ASSERT(place->line && client->name.len);
}

/* Looking at everything that is wrong comes to the same result as stopping at the first. */
static void look(struct nj_bytes text, struct nj_dynsec_principals *principals, bool is_good)
{
    size_t bad = 0;
    const struct nj_dynsec_watch watch = {count_doubt, pass_client, &bad};
    struct nj_dynsec_load how = {.knows_all_keys = text.len % 2 == 0, .watch = &watch};
    struct nj_dynsec_state *state = NULL;
    (void)!nj_dynsec_load(text, principals, &how, &state);
    NJ_ASSERT((state != NULL) == is_good && (bad == 0) == is_good);
    nj_dynsec_state_unref(state);
}

static bool ask(void *arg, void *item)
{
    const struct nj_policy *policy = arg;
    const struct nj_dynsec_client *client = item;
    struct nj_subject subject;
    struct nj_verdict verdict;
    char text[256];
    nj_subject_init(&subject, client->name, NJ_BYTES_LIT("id"), 0);
    for (int action = 0; action < NJ_ACTION_COUNT; action++) {
        nj_authz(policy, &subject, (enum nj_action)action, NJ_BYTES_LIT("a/id/b"), &verdict);
        (void)nj_policy_describe(policy, 0, &verdict, text, sizeof(text));
    }
    nj_subject_fini(&subject);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nj_buf first = {NULL, 0, 0};
    struct nj_buf second = {NULL, 0, 0};
    struct nj_dynsec_principals *principals = nj_dynsec_principals_new();
    struct nj_dynsec_state *state = load(nj_bytes(data, size), principals);
    look(nj_bytes(data, size), principals, state != NULL);
    if (state) {
        NJ_ASSERT(nj_dynsec_save(state, NJ_DYNSEC_FORM_21, &first) == NJ_OK);
        struct nj_dynsec_load how = {.knows_all_keys = true};
        struct nj_dynsec_state *again;
        NJ_ASSERT(nj_dynsec_load(nj_buf_bytes(&first), principals, &how, &again) == NJ_OK);
        NJ_ASSERT(nj_dynsec_save(again, NJ_DYNSEC_FORM_21, &second) == NJ_OK);
        NJ_ASSERT(nj_bytes_equal(nj_buf_bytes(&first), nj_buf_bytes(&second)));
        const struct nj_scope scope = {.dynsec = again};
        struct nj_policy *policy = nj_policy_new(1, &scope, 1);
        (void)nj_pmap_walk(&again->clients, ask, policy);
        nj_policy_unref(policy);
    }
    nj_dynsec_state_unref(state);
    nj_dynsec_principals_unref(principals);
    nj_buf_fini(&first);
    nj_buf_fini(&second);
    return 0;
}
