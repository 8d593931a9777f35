/* The hashing threads: every job is answered once, sources take turns, refusals cost and tell
 * nothing. The hash itself is replaced (linker: --wrap), so that calls can be counted and held
 * back. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "security/auth_pool.h"
#include "security/login.h"
#include "security/password.h"
#include "support/test.h"

#define JOBS        64
#define ANSWERS_MAX 4096

/* "1 GiB" and "1 pass": what the pool may run alone only. */
#define LARGE                                                                                      \
    "$argon2id$v=19$m=1048576,t=1,p=1$AAECAwQFBgcICQoL$"                                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

/* 8 MiB: may run beside others, and not beside that one. */
#define SMALL                                                                                      \
    "$argon2id$v=19$m=8192,t=1,p=1$AAECAwQFBgcICQoL$"                                              \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

bool __wrap_nj_password_verify(struct nj_bytes hash, struct nj_bytes password);

/* ---- the hash: a gate that lets through as many as it is told */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static int gate = 0; /* how many may pass; -1 = all */
static int verified = 0;
static int running = 0;
static int most_running = 0;

bool __wrap_nj_password_verify(struct nj_bytes hash, struct nj_bytes password)
{
    (void)hash;
    (void)pthread_mutex_lock(&lock);
    running++;
    most_running = running > most_running ? running : most_running;
    (void)pthread_cond_broadcast(&change);
    while (gate == 0) {
        (void)pthread_cond_wait(&change, &lock);
    }
    gate -= gate > 0;
    running--;
    verified++;
    (void)pthread_mutex_unlock(&lock);
    return nj_bytes_equal(password, NJ_BYTES_LIT("right"));
}

static void open_gate(int count)
{
    (void)pthread_mutex_lock(&lock);
    gate = count;
    (void)pthread_cond_broadcast(&change);
    (void)pthread_mutex_unlock(&lock);
}

/* ---- answers, in the order they came */

struct answer {
    int job;
    bool ok;
    uint64_t due_ms;
};

static struct answer answers[ANSWERS_MAX];
static int answered = 0;
static int numbers[ANSWERS_MAX];

static void on_done(void *arg, bool ok, uint64_t due_ms)
{
    (void)pthread_mutex_lock(&lock);
    if (answered < ANSWERS_MAX) {
        answers[answered] = (struct answer){*(int *)arg, ok, due_ms};
    }
    answered++;
    (void)pthread_cond_broadcast(&change);
    (void)pthread_mutex_unlock(&lock);
}

static void await(const int *what, int count)
{
    (void)pthread_mutex_lock(&lock);
    while (*what < count) {
        (void)pthread_cond_wait(&change, &lock);
    }
    (void)pthread_mutex_unlock(&lock);
}

static int setup(void **state)
{
    (void)state;
    answered = 0;
    verified = 0;
    most_running = 0;
    gate = -1;
    for (int i = 0; i < ANSWERS_MAX; i++) {
        numbers[i] = i;
    }
    return 0;
}

static enum nj_err submit(struct nj_auth_pool *pool, int number, const char *password,
                          const char *hash, uint64_t source)
{
    const struct nj_auth_job job = {
        .user = NJ_BYTES_LIT("bob"),
        .password = nj_bytes_of(password),
        .hash = nj_bytes_of(hash),
        .source = source,
        .done = on_done,
        .arg = &numbers[number],
    };
    return nj_auth_pool_submit(pool, &job);
}

static void right_and_wrong_passwords_are_told_apart(void **state)
{
    (void)state;
    struct nj_remembered *remembered = nj_remembered_new(16, 100000);
    struct nj_auth_pool *pool = nj_auth_pool_new(1, remembered);
    assert_int_equal(nj_auth_pool_threads(pool), 1);
    assert_int_equal(submit(pool, 0, "wrong", "h", 1), NJ_OK);
    assert_int_equal(submit(pool, 1, "right", "h", 1), NJ_OK);
    await(&answered, 2);
    assert_false(answers[0].ok);
    assert_true(answers[1].ok);
    uint64_t now = nj_clock_mono_ms();
    struct nj_bytes user = NJ_BYTES_LIT("bob");
    assert_true(nj_remembered_has(remembered, user, NJ_BYTES_LIT("right"), NJ_BYTES_LIT("h"), now));
    assert_false(
        nj_remembered_has(remembered, user, NJ_BYTES_LIT("wrong"), NJ_BYTES_LIT("h"), now));
    assert_int_equal(nj_auth_pool_depth(pool), 0);
    nj_auth_pool_free(pool);
    nj_remembered_free(remembered);
}

/* L-056: not time is compared, but what was done: one place in the queue and no hash. */
static void l056_an_unknown_user_waits_in_turn_and_costs_no_hash(void **state)
{
    (void)state;
    struct nj_auth_pool *pool = nj_auth_pool_new(1, NULL);
    open_gate(0);
    assert_int_equal(submit(pool, 0, "right", "h", 1), NJ_OK);
    await(&running, 1);
    assert_int_equal(submit(pool, 1, "right", "", 1), NJ_OK); /* unknown */
    assert_int_equal(submit(pool, 2, "wrong", "h", 1), NJ_OK);
    assert_int_equal(nj_auth_pool_depth(pool), 3);
    open_gate(-1);
    await(&answered, 3);
    assert_int_equal(verified, 2);
    assert_int_equal(answers[0].job, 0);
    assert_int_equal(answers[1].job, 1);
    assert_int_equal(answers[2].job, 2);
    assert_false(answers[1].ok || answers[2].ok);
    nj_auth_pool_free(pool);
}

/* With and without a hash a refusal is due equally long after its job was begun, and that is as
 * long as a hash takes: here as long as the gate was closed. */
static void l056_a_refusal_is_due_as_if_there_had_been_a_hash(void **state)
{
    (void)state;
    struct nj_auth_pool *pool = nj_auth_pool_new(1, NULL);
    open_gate(0);
    uint64_t begin = nj_clock_mono_ms();
    assert_int_equal(submit(pool, 0, "wrong", "h", 0), NJ_OK);
    await(&running, 1);
    while (nj_clock_mono_ms() < begin + 250) {
        (void)sched_yield();
    }
    open_gate(-1);
    await(&answered, 1);
    assert_true(answers[0].due_ms >= begin + 250);
    begin = nj_clock_mono_ms();
    assert_int_equal(submit(pool, 1, "wrong", "", 0), NJ_OK);
    assert_int_equal(submit(pool, 2, "wrong", "h", 0), NJ_OK);
    await(&answered, 3);
    for (int i = 1; i < 3; i++) {
        assert_false(answers[i].ok);
        assert_true(answers[i].due_ms >= begin + 200); /* 250, a little forgotten already */
    }
    nj_auth_pool_free(pool);
}

static void sources_take_turns(void **state)
{
    (void)state;
    struct nj_auth_pool *pool = nj_auth_pool_new(1, NULL);
    open_gate(0);
    assert_int_equal(submit(pool, 0, "right", "h", 1), NJ_OK);
    await(&running, 1);
    for (int i = 1; i < 20; i++) {
        assert_int_equal(submit(pool, i, "right", "h", 1), NJ_OK);
    }
    assert_int_equal(submit(pool, 20, "right", "h", 2), NJ_OK);
    assert_int_equal(submit(pool, 21, "right", "h", 3), NJ_OK);
    assert_int_equal(submit(pool, 22, "right", "h", 2), NJ_OK);
    open_gate(-1);
    await(&answered, 23);
    static const int wanted[] = {0, 1, 20, 21, 2, 22, 3, 4, 5};
    for (int i = 0; i < 9; i++) {
        assert_int_equal(answers[i].job, wanted[i]);
    }
    nj_auth_pool_free(pool);
}

/* However much one source sends, there is room for another. */
static void one_source_cannot_fill_the_queue(void **state)
{
    (void)state;
    struct nj_auth_pool *pool = nj_auth_pool_new(1, NULL);
    open_gate(0);
    assert_int_equal(submit(pool, 0, "right", "h", 1), NJ_OK);
    await(&running, 1);
    int taken = 1;
    while (submit(pool, 0, "right", "", 1) == NJ_OK) {
        taken++;
        assert_true(taken < 100000);
    }
    assert_true(taken >= 4000);
    for (uint64_t source = 2; source < 8; source++) {
        assert_int_equal(submit(pool, 0, "right", "", source), NJ_OK);
        taken++;
        while (submit(pool, 0, "right", "", source) == NJ_OK) {
            taken++;
        }
    }
    open_gate(-1);
    nj_auth_pool_free(pool);
    assert_int_equal(answered, taken);
}

static void a_source_is_bounded_in_bytes_too(void **state)
{
    (void)state;
    static char password[65536];
    memset(password, 'x', sizeof(password) - 1);
    struct nj_auth_pool *pool = nj_auth_pool_new(1, NULL);
    open_gate(0);
    assert_int_equal(submit(pool, 0, "right", "h", 1), NJ_OK);
    await(&running, 1);
    int taken = 1;
    while (submit(pool, taken, password, "h", 1) == NJ_OK) {
        taken++;
        assert_true(taken < 4000);
    }
    assert_true(taken > 256);
    assert_int_equal(submit(pool, taken, password, "h", 2), NJ_OK);
    open_gate(-1);
    nj_auth_pool_free(pool);
    assert_int_equal(answered, taken + 1);
}

static void l059_large_hashes_do_not_run_together(void **state)
{
    (void)state;
    assert_int_equal(nj_password_memory_kib(nj_bytes_of(LARGE)), 1048576);
    struct nj_auth_pool *pool = nj_auth_pool_new(4, NULL);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(submit(pool, i, "right", LARGE, (uint64_t)i), NJ_OK);
    }
    await(&answered, 12);
    assert_int_equal(most_running, 1);
    nj_auth_pool_free(pool);
}

/* Each of them woke a thread that could not take it while the large one ran. */
static void l059_what_waited_for_memory_is_done_by_all_threads(void **state)
{
    (void)state;
    struct nj_auth_pool *pool = nj_auth_pool_new(3, NULL);
    open_gate(0);
    assert_int_equal(submit(pool, 0, "right", LARGE, 0), NJ_OK);
    await(&running, 1);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(submit(pool, i, "right", SMALL, (uint64_t)i), NJ_OK);
    }
    open_gate(1);
    await(&running, 3);
    assert_int_equal(most_running, 3);
    open_gate(-1);
    await(&answered, 4);
    nj_auth_pool_free(pool);
}

static void what_waits_at_the_end_is_refused(void **state)
{
    (void)state;
    struct nj_auth_pool *pool = nj_auth_pool_new(1, NULL);
    assert_int_equal(submit(pool, 0, "wrong", "", 0), NJ_OK);
    open_gate(0);
    assert_int_equal(submit(pool, 1, "right", "h", 1), NJ_OK);
    await(&running, 1);
    for (int i = 2; i < 10; i++) {
        assert_int_equal(submit(pool, i, "right", "h", 1), NJ_OK);
    }
    open_gate(1);
    await(&verified, 1);
    open_gate(-1);
    nj_auth_pool_free(pool);
    assert_int_equal(answered, 10);
    nj_auth_pool_free(NULL);
}

static void what_nobody_waits_for_is_not_hashed(void **state)
{
    (void)state;
    _Atomic bool is_abandoned = false;
    struct nj_auth_pool *pool = nj_auth_pool_new(1, NULL);
    open_gate(0);
    assert_int_equal(submit(pool, 0, "right", "h", 1), NJ_OK);
    await(&running, 1);
    const struct nj_auth_job job = {
        .password = NJ_BYTES_LIT("right"),
        .hash = NJ_BYTES_LIT("h"),
        .done = on_done,
        .arg = &numbers[1],
        .is_abandoned = &is_abandoned,
    };
    assert_int_equal(nj_auth_pool_submit(pool, &job), NJ_OK);
    atomic_store(&is_abandoned, true);
    open_gate(-1);
    await(&answered, 2);
    assert_int_equal(verified, 1);
    assert_false(answers[1].ok);
    nj_auth_pool_free(pool);
}

static void without_memory_or_threads_the_caller_is_told(void **state)
{
    (void)state;
    nj_fault_arm(NJ_FAULT_THREAD, 1, true);
    assert_null(nj_auth_pool_new(2, NULL));
    nj_fault_disarm();
    nj_fault_arm(NJ_FAULT_THREAD, 2, true);
    struct nj_auth_pool *pool = nj_auth_pool_new(2, NULL);
    nj_fault_disarm();
    assert_int_equal(nj_auth_pool_threads(pool), 1);
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    assert_int_equal(submit(pool, 0, "right", "h", 1), NJ_EBUSY);
    nj_fault_disarm();
    assert_int_equal(answered, 0);
    assert_int_equal(nj_auth_pool_depth(pool), 0);
    nj_auth_pool_free(pool);
}

/* For the thread sanitizer: several submitters, several threads, everything answered once. */
static struct nj_auth_pool *shared_pool;

static void *submit_many(void *arg)
{
    int first = *(int *)arg;
    for (int i = first; i < first + JOBS; i++) {
        const char *password = i % 3 ? "right" : "wrong";
        assert_int_equal(submit(shared_pool, i, password, i % 5 ? "h" : "", (uint64_t)i % 7),
                         NJ_OK);
    }
    return NULL;
}

static void every_job_of_every_thread_is_answered_once(void **state)
{
    (void)state;
    static int firsts[4];
    pthread_t threads[4];
    bool seen[4 * JOBS] = {false};
    struct nj_remembered *remembered = nj_remembered_new(16, 100000);
    shared_pool = nj_auth_pool_new(3, remembered);
    for (int i = 0; i < 4; i++) {
        firsts[i] = i * JOBS;
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &firsts[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    await(&answered, 4 * JOBS);
    nj_auth_pool_free(shared_pool);
    for (int i = 0; i < 4 * JOBS; i++) {
        int job = answers[i].job;
        assert_false(seen[job]);
        seen[job] = true;
        assert_int_equal(answers[i].ok, job % 3 != 0 && job % 5 != 0);
    }
    nj_remembered_free(remembered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(right_and_wrong_passwords_are_told_apart, setup),
        cmocka_unit_test_setup(l056_an_unknown_user_waits_in_turn_and_costs_no_hash, setup),
        cmocka_unit_test_setup(l056_a_refusal_is_due_as_if_there_had_been_a_hash, setup),
        cmocka_unit_test_setup(sources_take_turns, setup),
        cmocka_unit_test_setup(one_source_cannot_fill_the_queue, setup),
        cmocka_unit_test_setup(a_source_is_bounded_in_bytes_too, setup),
        cmocka_unit_test_setup(l059_large_hashes_do_not_run_together, setup),
        cmocka_unit_test_setup(l059_what_waited_for_memory_is_done_by_all_threads, setup),
        cmocka_unit_test_setup(what_waits_at_the_end_is_refused, setup),
        cmocka_unit_test_setup(what_nobody_waits_for_is_not_hashed, setup),
        cmocka_unit_test_setup(without_memory_or_threads_the_caller_is_told, setup),
        cmocka_unit_test_setup(every_job_of_every_thread_is_answered_once, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
