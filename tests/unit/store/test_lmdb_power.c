/* Simulated power cuts (ledger F-010, F-011).
 *
 * A run is recorded write by write. Then, for each image: a moment is drawn; what was synced by
 * then is on the disk; of what was not, each write is there, missing, or torn at sectors, and they
 * may have come in any order. The image has to open without being damaged, and what it holds has to
 * be exactly what the first k groups make, with k at least the number that was acknowledged by
 * then. NIGHTJAR_POWER_IMAGES sets how many. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "disk.h"
#include "model.h"
#include "support/test.h"

#define GROUPS  1500
#define SECTOR  512u
#define COUNTER 1000000000ull /* owner whose expiry says how many groups there are */

static struct rig rig;
static struct rig image_rig;
static uint64_t seed;
/* Groups acknowledged and syncs done when the journal had so many writes. */
static uint32_t acked_at[1 << 20];
static uint64_t syncs_at[1 << 20];

static void note_moment(uint64_t cookie)
{
    uint32_t count = disk_written();
    NJ_ASSERT(count < sizeof(acked_at) / sizeof(acked_at[0]));
    acked_at[count] = (uint32_t)cookie;
}

static void make_group(struct model *model, struct model_group *group,
                       struct nj_store_session *counter, uint32_t number)
{
    model_group_make(model, group);
    NJ_ASSERT(group->count < MODEL_OPS);
    *counter = (struct nj_store_session){
        .owner = COUNTER, .origin = {.client_id = NJ_BYTES_LIT("counter")}, .expiry_s = number};
    group->ops[group->count++] =
        (struct nj_store_op){.kind = NJ_STORE_SESSION_SAVE, .owner = COUNTER, .session = counter};
}

static uint64_t draw(uint64_t bound)
{
    static uint64_t state;
    state = state ? state : seed | 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 11) % bound;
}

static void record_run(void)
{
    static struct model model;
    char path[128];
    rig_init(&rig);
    model_init(&model, seed);
    (void)snprintf(path, sizeof(path), "%s/data.mdb", rig.path);
    disk_record(path);
    assert_int_equal(rig_open(&rig), NJ_OK);
    for (uint32_t i = 1; i <= GROUPS; i++) {
        struct model_group group;
        struct nj_store_session counter;
        make_group(&model, &group, &counter, i);
        uint64_t cookie = rig_submit(&rig, 0, group.ops, group.count, NULL);
        model_group_fini(&group);
        if (draw(4) == 0) {
            assert_int_equal(rig_wait(&rig, 0, cookie), NJ_OK);
            note_moment(cookie);
        }
    }
    rig_close(&rig);
    struct disk_journal *journal = disk_journal();
    for (uint32_t i = 1; i <= journal->count; i++) {
        acked_at[i] = acked_at[i] > acked_at[i - 1] ? acked_at[i] : acked_at[i - 1];
    }
    for (uint32_t i = 0; i < journal->count; i++) {
        syncs_at[i] = journal->writes[i].syncs;
    }
}

/* ---- images */

static void put(uint8_t *image, const struct disk_write *write, uint64_t from, uint64_t to)
{
    memcpy(image + write->offset + from, write->data + from, to - from);
}

/* Sectors of it, each drawn. */
static void put_torn(uint8_t *image, const struct disk_write *write)
{
    for (uint64_t at = 0; at < write->len; at += SECTOR) {
        uint64_t to = at + SECTOR < write->len ? at + SECTOR : write->len;
        if (draw(2)) {
            put(image, write, at, to);
        }
    }
}

static uint64_t image_bytes(uint32_t moment)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < moment; i++) {
        const struct disk_write *write = &disk_journal()->writes[i];
        uint64_t end = write->offset + write->len;
        bytes = end > bytes ? end : bytes;
    }
    return bytes;
}

/* What a disk may hold when the power goes before write number `moment`. Returns the length. */
static uint64_t make_image(uint8_t *image, uint32_t moment, bool is_lying)
{
    const struct disk_journal *journal = disk_journal();
    uint64_t syncs = moment < journal->count ? syncs_at[moment] : UINT64_MAX;
    uint64_t lie = is_lying && syncs > 1 ? syncs - 1 - draw(2) : syncs;
    uint64_t kind = draw(5); /* 4: nothing is lost, as with kill -9 */
    memset(image, 0, image_bytes(moment));
    for (uint32_t i = 0; i < moment; i++) {
        const struct disk_write *write = &journal->writes[i];
        bool is_safe = write->syncs < lie || (write->is_synced && !is_lying);
        uint64_t fate = is_safe || kind == 4 ? 0 : kind == 0 ? 1 : kind == 1 ? draw(2) : draw(3);
        if (fate == 0) {
            put(image, write, 0, write->len);
        } else if (fate == 2) {
            put_torn(image, write);
        }
    }
    return image_bytes(moment);
}

static void write_image(const uint8_t *image, uint64_t len)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/data.mdb", image_rig.path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, image, len), (ssize_t)len);
    (void)close(fd);
}

/* ---- what an image holds */

static enum nj_err find_counter(void *arg, const struct nj_store_session *session,
                                const struct nj_store_backlog *backlog)
{
    uint32_t *number = arg;
    (void)backlog;
    if (session->owner == COUNTER) {
        *number = session->expiry_s;
    }
    return NJ_OK;
}

static enum nj_err ignore_subscription(void *arg, uint64_t owner, struct nj_bytes filter,
                                       uint64_t value, uint32_t share)
{
    (void)arg;
    (void)owner;
    (void)filter;
    (void)value;
    (void)share;
    return NJ_OK;
}

static enum nj_err ignore_will(void *arg, uint64_t owner, struct nj_message *message,
                               uint64_t delay_s)
{
    (void)arg;
    (void)owner;
    (void)message;
    (void)delay_s;
    return NJ_OK;
}

static enum nj_err ignore_retained(void *arg, struct nj_message *message,
                                   const struct nj_store_origin *origin)
{
    (void)arg;
    (void)message;
    (void)origin;
    return NJ_OK;
}

static uint32_t groups_in_image(void)
{
    uint32_t number = 0;
    struct nj_store_highest highest;
    const struct nj_store_loader loader = {
        .arg = &number,
        .session = find_counter,
        .subscription = ignore_subscription,
        .will = ignore_will,
        .retained = ignore_retained,
    };
    assert_int_equal(nj_store_load(image_rig.store, &loader, &highest), NJ_OK);
    return number;
}

/* The model after `count` groups. Images come in any order, so it begins anew. */
static const struct model *model_after(uint32_t count)
{
    static struct model model;
    model_init(&model, seed);
    for (uint32_t i = 1; i <= count; i++) {
        struct model_group group;
        struct nj_store_session counter;
        make_group(&model, &group, &counter, i);
        model_group_fini(&group);
    }
    /* The counter is a session, too: the comparison passes over it. */
    model.extra_sessions = count > 0;
    return &model;
}

static bool was_set_aside(void)
{
    struct nj_store_status status;
    nj_store_status(image_rig.store, &status);
    return status.quarantined > 0;
}

static void check_image(uint32_t moment, bool is_lying)
{
    assert_int_equal(rig_open(&image_rig), NJ_OK);
    uint32_t number = groups_in_image();
    /* Loading is once for each opening. */
    rig_close(&image_rig);
    assert_int_equal(rig_open(&image_rig), NJ_OK);
    if (!is_lying) {
        bool is_good = !was_set_aside() && number >= acked_at[moment] && number <= GROUPS &&
                       model_equals(model_after(number), &image_rig);
        if (!is_good) {
            (void)fprintf(stderr, "seed %llu, moment %u: %u groups, %u were acknowledged\n",
                          (unsigned long long)seed, moment, number, acked_at[moment]);
            fail();
        }
    }
    rig_close(&image_rig);
}

static void run(uint64_t new_seed, unsigned images)
{
    seed = new_seed;
    memset(acked_at, 0, sizeof(acked_at));
    record_run();
    uint32_t writes = disk_journal()->count;
    assert_true(writes > 100);
    uint8_t *image = nj_alloc(image_bytes(writes));
    rig_init(&image_rig);
    for (unsigned i = 0; i < images; i++) {
        /* From the first complete state on: what is not even made is nobody's promise. */
        uint32_t moment = 12 + (uint32_t)draw(writes - 12 + 1);
        bool is_lying = i % 10 == 9;
        write_image(image, make_image(image, moment, is_lying));
        check_image(moment, is_lying);
        if (is_lying) {
            rig_fini(&image_rig);
            rig_init(&image_rig);
        }
    }
    rig_fini(&image_rig);
    nj_free(image);
    disk_forget();
    rig_fini(&rig);
}

static void f010_f011_every_image_holds_what_was_acknowledged(void **state)
{
    (void)state;
    const char *text = getenv("NIGHTJAR_POWER_IMAGES");
    unsigned images = text ? (unsigned)strtoul(text, NULL, 10) : 150;
    for (uint64_t at = 1; images; at++) {
        unsigned some = images < 500 ? images : 500;
        run(at, some);
        images -= some;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f010_f011_every_image_holds_what_was_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
