/* What a file that somebody else edited would change, for the log: names and nothing more. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "security/dynsec_file.h"
#include "security/dynsec_principal.h"
#include "security/dynsec_priv.h"

/* Names of each kind that are told; of the rest, how many there are. */
#define NAMES_MAX 10u
/* For a save that is at work. The control thread has more to do, and the watchdog waits for it. */
#define WAIT_S 2

/* One kind of records, in both states. */
struct kind {
    const char *name;
    size_t map; /* offset in the state */
    void (*write)(struct nj_json_out *out, const struct nj_dynsec_state *state, const void *item);
};

static void write_client(struct nj_json_out *out, const struct nj_dynsec_state *state,
                         const void *item)
{
    nj_dynsec_write_client(out, state, item, NJ_DYNSEC_FORM_21);
}

static void write_group(struct nj_json_out *out, const struct nj_dynsec_state *state,
                        const void *item)
{
    nj_dynsec_write_group(out, state, item, true);
}

static void write_role(struct nj_json_out *out, const struct nj_dynsec_state *state,
                       const void *item)
{
    (void)state;
    nj_dynsec_write_role(out, item);
}

static const struct kind kinds[] = {
    {"clients", offsetof(struct nj_dynsec_state, clients), write_client},
    {"groups", offsetof(struct nj_dynsec_state, groups), write_group},
    {"roles", offsetof(struct nj_dynsec_state, roles), write_role},
};

static const struct nj_pmap *map_of(const struct nj_dynsec_state *state, const struct kind *kind)
{
    return (const struct nj_pmap *)(const void *)((const char *)state + kind->map);
}

struct comparison {
    const struct nj_dynsec_state *here;  /* in force */
    const struct nj_dynsec_state *there; /* in the file */
    struct nj_buf one;
    struct nj_buf other;
    struct nj_buf text;
    unsigned named; /* of the kind at work */
    unsigned more;
};

static enum nj_err note(struct comparison *both, const struct kind *kind, char sign,
                        struct nj_bytes name)
{
    if (both->named >= NAMES_MAX) {
        both->more++;
        return NJ_OK;
    }
    const char *lead = both->named == 0 ? kind->name : "";
    const char *gap = both->named == 0 && both->text.len ? "; " : "";
    both->named++;
    return nj_buf_printf(&both->text, "%s%s %c%.*s", gap, lead, sign, (int)name.len,
                         (const char *)name.ptr);
}

static bool is_same(struct comparison *both, const struct kind *kind, const void *here,
                    const void *there)
{
    struct nj_json_out out;
    both->one.len = 0;
    both->other.len = 0;
    nj_json_out_init(&out, &both->one, false);
    kind->write(&out, both->here, here);
    nj_json_out_init(&out, &both->other, false);
    kind->write(&out, both->there, there);
    return nj_bytes_equal(nj_buf_bytes(&both->one), nj_buf_bytes(&both->other));
}

static enum nj_err compare(struct comparison *both, const struct kind *kind)
{
    const struct nj_pmap *here = map_of(both->here, kind);
    const struct nj_pmap *there = map_of(both->there, kind);
    struct nj_bytes (*key)(const void *item) = here->type->key;
    size_t count = nj_pmap_count(there);
    enum nj_err err = NJ_OK;
    both->named = 0;
    both->more = 0;
    for (size_t i = 0; i < count && err == NJ_OK; i++) {
        const void *item = nj_pmap_at(there, i);
        const void *old = nj_pmap_get(here, key(item));
        if (!old || !is_same(both, kind, old, item)) {
            err = note(both, kind, old ? '*' : '+', key(item));
        }
    }
    count = nj_pmap_count(here);
    for (size_t i = 0; i < count && err == NJ_OK; i++) {
        const void *item = nj_pmap_at(here, i);
        if (!nj_pmap_get(there, key(item))) {
            err = note(both, kind, '-', key(item));
        }
    }
    return err == NJ_OK && both->more ? nj_buf_printf(&both->text, " and %u more", both->more)
                                      : err;
}

static void tell(const struct nj_dynsec *dynsec, const struct nj_dynsec_state *there)
{
    struct comparison both = {.here = dynsec->state, .there = there};
    enum nj_err err = NJ_OK;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && err == NJ_OK; i++) {
        err = compare(&both, &kinds[i]);
    }
    nj_log(NJ_LOG_WARNING,
           "Warning: %s was changed by somebody else and is not read while the broker runs. It "
           "would change: %.*s (+ new, - gone, * other). Make the changes with nj ctl, or stop the "
           "broker: its next start asks which of both counts (--recover json|journal).",
           dynsec->path, (int)both.text.len,
           both.text.len ? (const char *)both.text.data : "nothing that has a name");
    nj_wipe(both.one.data, both.one.len); /* hashes */
    nj_wipe(both.other.data, both.other.len);
    nj_buf_fini(&both.one);
    nj_buf_fini(&both.other);
    nj_buf_fini(&both.text);
}

static bool is_foreign(struct nj_dynsec *dynsec)
{
    struct nj_dynsec_look look;
    struct timespec until;
    int waited = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_S;
    (void)pthread_mutex_lock(&dynsec->lock);
    while (dynsec->is_saving && waited == 0) {
        waited = pthread_cond_timedwait(&dynsec->settled, &dynsec->lock, &until);
    }
    nj_dynsec_look_at(dynsec->path, &look);
    bool is = !dynsec->is_saving && look.is_there && !nj_dynsec_looks_same(&look, &dynsec->look);
    (void)pthread_mutex_unlock(&dynsec->lock);
    return is;
}

void nj_dynsec_preview(struct nj_dynsec *dynsec)
{
    struct nj_buf text = {NULL, 0, 0};
    struct nj_dynsec_load load = {.knows_all_keys = false};
    struct nj_dynsec_state *there;
    if (!is_foreign(dynsec)) {
        return;
    }
    struct nj_dynsec_principals *principals = nj_dynsec_principals_new();
    enum nj_err err = nj_file_read(dynsec->path, NJ_DYNSEC_FILE_MAX, false, &text);
    if (err != NJ_OK) {
        (void)snprintf(load.error, sizeof(load.error), "%s", nj_file_why(err));
    } else {
        err = nj_dynsec_load(nj_buf_bytes(&text), principals, &load, &there);
    }
    if (err == NJ_OK) {
        tell(dynsec, there);
        nj_dynsec_state_unref(there);
    } else {
        nj_log(NJ_LOG_WARNING,
               "Warning: %s was changed by somebody else while the broker runs, and could not be "
               "used: %s. The broker goes on with what it has.",
               dynsec->path, load.error);
    }
    nj_wipe(text.data, text.len);
    nj_buf_fini(&text);
    nj_dynsec_principals_unref(principals);
}
