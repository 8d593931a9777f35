/* Long work in parts: what a turn may cost, jobs in turns, and that nobody can tell from what he
 * receives. A job of the test's own looks on between the parts. */
#include <stdio.h>
#include <string.h>

#include "broker/filters.h"
#include "broker/retain.h"
#include "broker/session.h"
#include "broker/share.h"
#include "broker/turn.h"
#include "fixture.h"

#define MANY 5000u

/* ---- steps */

static void writes_more_the_more_memory_waits(void **state)
{
    (void)state;
    struct nj_turn turn;
    nj_turn_init(&turn);
    nj_turn_begin(&turn, 1000, false);
    nj_turn_open(&turn, 0);
    assert_int_equal(turn.steps_left, NJ_TURN_STEPS);
    nj_turn_open(&turn, 999 + NJ_TURN_MEMORY);
    assert_int_equal(turn.steps_left, NJ_TURN_STEPS);
    assert_true(nj_turn_spend(&turn, NJ_TURN_STEPS - 1));
    assert_false(nj_turn_spend(&turn, 1));
    assert_false(nj_turn_spend(&turn, 1));
    nj_turn_begin(&turn, 5000, true); /* left over: not what is usual */
    nj_turn_open(&turn, 1000 + 3 * NJ_TURN_MEMORY);
    assert_int_equal(turn.steps_left, 8 * NJ_TURN_STEPS);
    nj_turn_open(&turn, 1000 + NJ_TURN_DOUBLINGS * NJ_TURN_MEMORY);
    assert_int_equal(turn.steps_left, UINT32_MAX);
    nj_turn_begin(&turn, 5000, false);
    nj_turn_open(&turn, 5000);
    assert_int_equal(turn.steps_left, NJ_TURN_STEPS);
}

struct counting {
    struct nj_job job; /* first */
    uint32_t left;
    uint32_t runs;
    uint32_t others; /* runs of the other one when this one ended */
    const struct counting *other;
};

static bool count(struct nj_job *job, struct nj_shard *shard, uint32_t steps)
{
    struct counting *counting = (struct counting *)job;
    (void)shard;
    counting->runs++;
    counting->left -= steps < counting->left ? steps : counting->left;
    counting->others = counting->other ? counting->other->runs : 0;
    return counting->left == 0;
}

static void runs_jobs_in_turns_and_no_more_than_a_turn_may_cost(void **state)
{
    (void)state;
    struct nj_shard *shard = rig.shards[0];
    struct counting first = {.job = {.run = count}, .left = 3 * NJ_TURN_STEPS};
    struct counting second = {.job = {.run = count}, .left = NJ_TURN_STEPS, .other = &first};
    nj_job_add(&shard->turn, &first.job);
    nj_job_add(&shard->turn, &second.job);
    assert_true(nj_jobs_run(shard));
    assert_int_equal(first.runs, second.runs);
    assert_int_equal(first.left, 3 * NJ_TURN_STEPS - NJ_TURN_STEPS / 2);
    assert_true(nj_jobs_run(shard));
    assert_int_equal(second.left, 0);
    assert_int_equal(second.others, second.runs);
    assert_true(nj_jobs_run(shard));
    assert_false(nj_jobs_run(shard));
    assert_int_equal(first.left, 0);
    assert_false(nj_jobs_run(shard));
}

/* ---- somebody who looks on, once in each turn */

struct watcher {
    struct nj_job job; /* first */
    void (*look)(unsigned turn);
    unsigned turn;
    unsigned turns_max;
    unsigned seen; /* rig.turns: a job may run several times in one turn */
};

static bool watch(struct nj_job *job, struct nj_shard *shard, uint32_t steps)
{
    struct watcher *watcher = (struct watcher *)job;
    (void)shard;
    (void)steps;
    if (watcher->seen == rig.turns) {
        return false;
    }
    watcher->seen = rig.turns;
    watcher->look(watcher->turn++);
    return watcher->turn == watcher->turns_max;
}

static struct rig_client *publisher;

static void say_quietly(const char *topic, const char *payload, bool is_retain)
{
    const struct rig_publish publish = {.topic = topic, .payload = payload, .is_retain = is_retain};
    assert_int_equal(rig_publish_quietly(publisher, &publish), 0);
}

/* ---- retained messages */

static void retain_many(unsigned how_many)
{
    publisher = rig_connect(&rig, "pub", NULL);
    for (unsigned i = 0; i < how_many; i++) {
        char topic[16];
        (void)snprintf(topic, sizeof(topic), "r/%u", i);
        say_quietly(topic, "old", true);
    }
}

/* Which topics the replay has reached when the third turn begins is its own business: all of them
 * are replaced. */
static void replace_all_in_the_third_turn(unsigned turn)
{
    for (unsigned i = 0; turn == 3 && i < MANY; i++) {
        char topic[16];
        (void)snprintf(topic, sizeof(topic), "r/%u", i);
        say_quietly(topic, "new", true);
    }
}

static void never_replays_an_older_message_behind_a_newer_one(void **state)
{
    (void)state;
    retain_many(MANY);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    struct watcher watcher = {
        .job = {.run = watch}, .look = replace_all_in_the_third_turn, .turns_max = 4};
    nj_job_add(&sub->link.shard->turn, &watcher.job);
    rig_sub(sub, "r/+", 0);
    static bool has_new[MANY];
    memset(has_new, 0, sizeof(has_new));
    unsigned news = 0;
    unsigned olds = 0;
    struct rig_packet packet;
    while (rig_next(sub, &packet)) {
        unsigned number = 0;
        assert_int_equal(sscanf(packet.topic, "r/%u", &number), 1);
        bool is_new = nj_bytes_equal(packet.payload, NJ_BYTES_LIT("new"));
        assert_false(has_new[number]); /* neither something older nor a second one */
        assert_int_equal(packet.is_retain, !is_new);
        has_new[number] = is_new;
        news += is_new;
        olds += !is_new;
    }
    assert_int_equal(news, MANY);
    assert_in_range(olds, 1, MANY - 1); /* it was in the middle of it */
    assert_null(rig_session(&rig, "sub")->replay);
}

static unsigned turns_before_the_end;

static void see_whether_it_goes_on(unsigned turn)
{
    (void)turn;
    const struct nj_session *session = rig_session(&rig, "sub");
    turns_before_the_end += session->replay != NULL;
}

static void goes_on_with_what_nobody_may_have_and_lets_others_in_between(void **state)
{
    (void)state;
    retain_many(MANY);
    rig_policy(&rig, "topic read #\n"); /* their publisher has lost the right */
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    struct watcher watcher = {
        .job = {.run = watch}, .look = see_whether_it_goes_on, .turns_max = 10};
    nj_job_add(&sub->link.shard->turn, &watcher.job);
    turns_before_the_end = 0;
    rig_sub(sub, "#", 0);
    rig_expect_nothing(sub);
    assert_null(rig_session(&rig, "sub")->replay);
    assert_true(turns_before_the_end > 1);
}

static void take_the_right_away_in_the_third_turn(unsigned turn)
{
    if (turn == 3) {
        rig_policy(&rig, "topic write r/#\n");
    }
}

static void asks_for_the_right_in_each_part(void **state)
{
    (void)state;
    retain_many(MANY);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    struct watcher watcher = {
        .job = {.run = watch}, .look = take_the_right_away_in_the_third_turn, .turns_max = 4};
    nj_job_add(&sub->link.shard->turn, &watcher.job);
    rig_sub(sub, "r/+", 0);
    assert_in_range(rig_drain(sub), 1, MANY - 1);
    assert_null(rig_session(&rig, "sub")->replay);
}

/* ---- retained messages that a session did not get before it went away */

static uint64_t queued_seen[16];
static struct rig_client *again;

static void count_queued(unsigned turn)
{
    uint64_t bytes;
    queued_seen[turn] = nj_session_queued(rig_session(&rig, "sub"), &bytes);
}

static void go_away_in_the_middle(struct rig_client **sub)
{
    publisher = rig_connect(&rig, "pub", NULL);
    for (unsigned i = 0; i < MANY; i++) {
        char topic[16];
        (void)snprintf(topic, sizeof(topic), "r/%u", i);
        rig_retain(publisher, topic, "old", 1);
    }
    *sub = rig_connect(&rig, "sub", &(struct rig_connect){.expiry_s = 60, .receive_max = 1});
    rig_sub(*sub, "r/+", 1);
    (void)rig_expect(*sub, NJ_MQTT_PUBLISH);
}

static void keeps_for_the_next_connection_in_parts(void **state)
{
    (void)state;
    struct rig_client *sub;
    rig.limits.max_queued = 0;
    go_away_in_the_middle(&sub);
    struct watcher watcher = {.job = {.run = watch}, .look = count_queued, .turns_max = 6};
    nj_job_add(&publisher->link.shard->turn, &watcher.job);
    rig_break(sub);
    assert_in_range(queued_seen[3], 1, MANY - 2);
    assert_true(queued_seen[4] > queued_seen[3]);
    count_queued(0);
    assert_int_equal(queued_seen[0], MANY - 1);
    assert_null(rig_session(&rig, "sub")->replay);
}

static void come_back_in_the_third_turn(unsigned turn)
{
    if (turn == 3) {
        again = rig_connect(&rig, "sub", &(struct rig_connect){.expiry_s = 60});
    }
}

static void goes_on_with_the_rest_when_the_client_is_back(void **state)
{
    (void)state;
    struct rig_client *sub;
    rig.limits.max_queued = 0;
    go_away_in_the_middle(&sub);
    struct watcher watcher = {
        .job = {.run = watch}, .look = come_back_in_the_third_turn, .turns_max = 5};
    nj_job_add(&publisher->link.shard->turn, &watcher.job);
    rig_break(sub);
    static bool has[MANY];
    memset(has, 0, sizeof(has));
    unsigned count = 0;
    struct rig_packet packet;
    while (rig_next(again, &packet)) {
        unsigned number = 0;
        if (packet.type == NJ_MQTT_PUBLISH && sscanf(packet.topic, "r/%u", &number) == 1) {
            assert_false(has[number]);
            has[number] = true;
            count++;
            rig_puback(again, packet.id);
        }
    }
    assert_int_equal(count, MANY);
    assert_null(rig_session(&rig, "sub")->replay);
}

/* ---- a session that ends with many filters */

static int64_t filters_seen[16];

static void come_back_under_the_same_name(unsigned turn)
{
    filters_seen[turn] = nj_filters_count(publisher->link.shard->filters);
    if (turn == 2) {
        assert_null(rig_session(&rig, "big"));
        again = rig_connect_quietly(&rig, "big", NULL);
        assert_non_null(again);
        assert_false(again->was_present);
    }
    if (turn == 3) {
        say_quietly("f/1", "to nobody", false);
        say_quietly("f/4999", "to nobody", false);
    }
}

static void subscribe_many(struct rig_client *client)
{
    for (unsigned i = 0; i < MANY; i++) {
        char filter[16];
        (void)snprintf(filter, sizeof(filter), "f/%u", i);
        rig_sub(client, filter, (uint8_t)(i % 3));
    }
}

static void ends_a_session_with_many_filters_in_parts(void **state)
{
    (void)state;
    publisher = rig_connect(&rig, "pub", NULL);
    struct rig_client *big = rig_connect(&rig, "big", NULL);
    subscribe_many(big);
    struct watcher watcher = {
        .job = {.run = watch}, .look = come_back_under_the_same_name, .turns_max = 4};
    nj_job_add(&publisher->link.shard->turn, &watcher.job);
    rig_break(big);
    assert_in_range(filters_seen[2], 1, MANY - 1);
    assert_true(filters_seen[3] < filters_seen[2]);
    assert_int_equal(nj_filters_count(publisher->link.shard->filters), 0);
    (void)rig_expect(again, NJ_MQTT_CONNACK);
    rig_expect_nothing(again);
    assert_int_equal(rig_stat(&rig, offsetof(struct nj_stats, subscriptions)), 0);
    assert_int_equal(rig_stat(&rig, offsetof(struct nj_stats, queued)), 0);
}

/* ---- shared subscriptions: their homes learn in parts who comes and who goes */

static uint32_t members_of(const struct nj_shard *shard)
{
    return shard->groups.members.count;
}

static uint32_t members_online(const struct nj_shard *shard)
{
    uint32_t count = 0;
    const struct nj_index *members = &shard->groups.members;
    for (uint32_t i = 0; i < members->slot_count; i++) {
        for (struct nj_index_node *node = members->slots[i]; node; node = node->next) {
            count += NJ_CONTAINER(node, struct nj_member, node)->is_online;
        }
    }
    return count;
}

static uint32_t members_seen[16];

static void count_members(unsigned turn)
{
    members_seen[turn] = members_of(publisher->link.shard);
}

static void count_members_online(unsigned turn)
{
    members_seen[turn] = members_online(publisher->link.shard);
}

static void share_many(struct rig_client *client)
{
    for (unsigned i = 0; i < MANY; i++) {
        char filter[24];
        (void)snprintf(filter, sizeof(filter), "$share/g/f/%u", i);
        rig_sub(client, filter, 1);
    }
    assert_int_equal(members_of(publisher->link.shard), MANY);
}

static void leaves_many_groups_in_parts(void **state)
{
    (void)state;
    publisher = rig_connect(&rig, "pub", NULL);
    struct rig_client *big = rig_connect(&rig, "big", NULL);
    share_many(big);
    struct watcher watcher = {.job = {.run = watch}, .look = count_members, .turns_max = 4};
    nj_job_add(&publisher->link.shard->turn, &watcher.job);
    rig_break(big);
    assert_in_range(members_seen[2], 1, MANY - 1);
    assert_true(members_seen[3] < members_seen[2]);
    assert_int_equal(members_of(publisher->link.shard), 0);
    assert_int_equal(nj_filters_count(publisher->link.shard->filters), 0);
    assert_int_equal(rig_stat(&rig, offsetof(struct nj_stats, shared_subscriptions)), 0);
}

static void tells_many_groups_in_parts_that_it_is_away(void **state)
{
    (void)state;
    publisher = rig_connect(&rig, "pub", NULL);
    struct rig_client *big = rig_connect(&rig, "big", &(struct rig_connect){.expiry_s = 3600});
    share_many(big);
    assert_int_equal(members_online(publisher->link.shard), MANY);
    struct watcher watcher = {.job = {.run = watch}, .look = count_members_online, .turns_max = 4};
    nj_job_add(&publisher->link.shard->turn, &watcher.job);
    rig_break(big);
    assert_in_range(members_seen[2], 1, MANY - 1);
    assert_int_equal(members_online(publisher->link.shard), 0);
    assert_int_equal(members_of(publisher->link.shard), MANY);
    (void)rig_connect(&rig, "big", &(struct rig_connect){.expiry_s = 3600});
    assert_int_equal(members_online(publisher->link.shard), MANY);
}

static void leaves_while_it_is_still_telling(void **state)
{
    (void)state;
    publisher = rig_connect(&rig, "pub", NULL);
    struct rig_client *big = rig_connect(&rig, "big", &(struct rig_connect){.expiry_s = 3600});
    share_many(big);
    struct nj_session *session = big->link.session;
    nj_share_tell_state(session);
    assert_true(nj_list_is_linked(&session->shared->job.node));
    assert_int_equal(rig_unsubscribe(big, "$share/g/f/64"), 0); /* whose turn it was */
    nj_share_tell_state(session);
    nj_session_set_expiry(session, 0);
    rig_break(big);
    assert_int_equal(members_of(publisher->link.shard), 0);
}

static void its_own_will_does_not_come_to_it(void **state)
{
    (void)state;
    publisher = rig_connect(&rig, "pub", NULL);
    struct rig_client *other = rig_connect(&rig, "other", NULL);
    rig_sub(other, "f/+", 1);
    struct rig_client *big = rig_connect(
        &rig, "big",
        &(struct rig_connect){
            .is_clean = true, .will_topic = "f/7", .will_payload = "gone", .will_qos = 1});
    subscribe_many(big);
    rig_break(big);
    rig_expect_publish(other, "f/7", "gone", 1);
    assert_int_equal(rig_stat(&rig, offsetof(struct nj_stats, queued)), 0);
}

static void stops_with_parts_left_and_loses_no_memory(void **state)
{
    (void)state;
    publisher = rig_connect(&rig, "pub", NULL);
    struct rig_client *big = rig_connect(&rig, "big", NULL);
    subscribe_many(big);
    struct nj_session *session = big->link.session;
    nj_session_detach(session, false);
    assert_int_equal(nj_filters_count(big->link.shard->filters), MANY - 64);
    /* rig_close frees the shard; the sanitizer would tell. */
    big->is_closed = true;
    big->is_gone = true;
}

static void stops_with_groups_left_and_loses_no_memory(void **state)
{
    (void)state;
    publisher = rig_connect(&rig, "pub", NULL);
    struct rig_client *big = rig_connect(&rig, "big", NULL);
    share_many(big);
    nj_session_detach(big->link.session, false);
    big->is_closed = true;
    big->is_gone = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_more_the_more_memory_waits),
        TEST1(runs_jobs_in_turns_and_no_more_than_a_turn_may_cost),
        TEST1(never_replays_an_older_message_behind_a_newer_one),
        TEST2(never_replays_an_older_message_behind_a_newer_one),
        TEST1(goes_on_with_what_nobody_may_have_and_lets_others_in_between),
        TEST1(asks_for_the_right_in_each_part),
        TEST1(keeps_for_the_next_connection_in_parts),
        TEST1(goes_on_with_the_rest_when_the_client_is_back),
        TEST1(ends_a_session_with_many_filters_in_parts),
        TEST1(leaves_many_groups_in_parts),
        TEST1(tells_many_groups_in_parts_that_it_is_away),
        TEST1(leaves_while_it_is_still_telling),
        TEST1(its_own_will_does_not_come_to_it),
        TEST1(stops_with_parts_left_and_loses_no_memory),
        TEST1(stops_with_groups_left_and_loses_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
