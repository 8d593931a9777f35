/* One line for each denial, and never a flood of them. */
#include <stdio.h>
#include <string.h>

#include "broker/denial.h"
#include "broker/shard.h"
#include "front/denial_log.h"
#include "rig.h"
#include "security/policy.h"
#include "support/test.h"

static struct rig rig;

static int open_rig(void **state)
{
    static const struct rig_options options = {.acl = "topic read a\ntopic deny secret/#\n"};
    (void)state;
    rig_open(&rig, &options);
    rig.worker->shard->now_ms = 1000000;
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static struct nj_denial denial_of(const char *user, const char *topic, enum nj_action action)
{
    struct nj_denial denial = {
        .user = nj_bytes_of(user),
        .client_id = NJ_BYTES_LIT("the-id"),
        .topic = nj_bytes_of(topic),
        .action = action,
    };
    struct nj_subject subject;
    nj_subject_init(&subject, denial.user, denial.client_id, 0);
    nj_authz(rig.worker->shard->policy, &subject, action, denial.topic, &denial.verdict);
    nj_subject_fini(&subject);
    assert_false(denial.verdict.allowed);
    return denial;
}

static void names_user_client_action_topic_and_rule(void **state)
{
    (void)state;
    struct nj_denial denial = denial_of("bob", "secret/x", NJ_ACTION_PUBLISH);
    nj_denial_log(rig.worker->shard, &denial);
    assert_string_equal(rig_log(), "Denied publish of 'secret/x' from client the-id, user 'bob': "
                                   "acl:2: topic deny secret/#.\n");
    rig_log_clear();
}

/* What a client sends comes from it, what it would have been sent goes to it. */
static void reads_as_a_sentence_for_every_action(void **state)
{
    (void)state;
    static const char *const WANTED[NJ_ACTION_COUNT] = {
        [NJ_ACTION_PUBLISH] = "Denied publish of 'b' from client the-id, anonymous: no rule.\n",
        [NJ_ACTION_DELIVER] = "Denied delivery of 'b' to client the-id, anonymous: no rule.\n",
        [NJ_ACTION_SUBSCRIBE] = "Denied subscribe of 'b' from client the-id, anonymous: no rule.\n",
        [NJ_ACTION_UNSUBSCRIBE] =
            "Denied unsubscribe of 'b' from client the-id, anonymous: no rule.\n",
        [NJ_ACTION_WILL] = "Denied will of 'b' from client the-id, anonymous: no rule.\n",
    };
    struct nj_denial denial = denial_of(NULL, "b", NJ_ACTION_DELIVER);
    for (enum nj_action action = 0; action < NJ_ACTION_COUNT; action++) {
        denial.action = action;
        rig_log_clear();
        nj_denial_log(rig.worker->shard, &denial);
        assert_string_equal(rig_log(), WANTED[action]);
    }
}

static void L_065_nobody_writes_a_second_line_or_a_control_character(void **state)
{
    (void)state;
    struct nj_denial denial = denial_of("eve\nDenied", "b\r\nError: \x1b[2J", NJ_ACTION_PUBLISH);
    nj_denial_log(rig.worker->shard, &denial);
    const char *line = rig_log();
    assert_int_equal(strcspn(line, "\n"), strlen(line) - 1);
    assert_null(strpbrk(line, "\r\x1b"));
}

static unsigned count_lines(void)
{
    unsigned count = 0;
    for (const char *at = rig_log(); *at; at++) {
        count += *at == '\n';
    }
    return count;
}

static void a_flood_is_cut_and_counted(void **state)
{
    struct nj_shard *shard = rig.worker->shard;
    struct nj_denial denial = denial_of("bob", "b", NJ_ACTION_PUBLISH);
    (void)state;
    for (int i = 0; i < 1000; i++) {
        nj_denial_log(shard, &denial);
    }
    assert_int_equal(count_lines(), 20);
    rig_log_clear();
    shard->now_ms += 1000;
    nj_denial_log(shard, &denial);
    assert_int_equal(count_lines(), 2);
    assert_non_null(strstr(rig_log(), "980 more denials in the last second were not logged.\n"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(names_user_client_action_topic_and_rule),
        TEST(reads_as_a_sentence_for_every_action),
        TEST(L_065_nobody_writes_a_second_line_or_a_control_character),
        TEST(a_flood_is_cut_and_counted),
    };
    return cmocka_run_group_tests(tests, rig_group_open, rig_group_close);
}
