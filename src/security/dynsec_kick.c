/* See dynsec_kick.h. */
#include "security/dynsec_kick.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"

enum kind {
    KICK_CLIENT,
    KICK_ROLE,
    KICK_GROUP,
    KICK_ANONYMOUS,
};

struct target {
    enum kind kind;
    uint32_t id;
    char *name;
    uint32_t name_len;
    struct nj_dynsec_state *state;
};

struct nj_dynsec_kick {
    struct nj_buf targets;
    size_t sorted; /* so many at the beginning are clients, sorted by name */
};

struct nj_dynsec_kick *nj_dynsec_kick_new(void)
{
    return nj_try_zalloc(sizeof(struct nj_dynsec_kick));
}

static const struct target *targets_of(const struct nj_dynsec_kick *kick, size_t *count)
{
    *count = kick->targets.len / sizeof(struct target);
    return (const struct target *)(void *)kick->targets.data;
}

size_t nj_dynsec_kick_count(const struct nj_dynsec_kick *kick)
{
    return kick->targets.len / sizeof(struct target);
}

void nj_dynsec_kick_cut(struct nj_dynsec_kick *kick, size_t count)
{
    size_t total;
    const struct target *targets = targets_of(kick, &total);
    for (size_t i = count; i < total; i++) {
        nj_free(targets[i].name);
        nj_dynsec_state_unref(targets[i].state);
    }
    kick->targets.len = count * sizeof(struct target);
}

void nj_dynsec_kick_free(struct nj_dynsec_kick *kick)
{
    if (kick) {
        nj_dynsec_kick_cut(kick, 0);
        nj_buf_fini(&kick->targets);
        nj_free(kick);
    }
}

static enum nj_err add(struct nj_dynsec_kick *kick, const struct target *target)
{
    return nj_buf_append(&kick->targets, target, sizeof(*target));
}

enum nj_err nj_dynsec_kick_client(struct nj_dynsec_kick *kick, struct nj_bytes name)
{
    const struct target target = {
        .kind = KICK_CLIENT,
        .name = nj_try_bytes_dup(name),
        .name_len = (uint32_t)name.len,
    };
    enum nj_err err = target.name ? add(kick, &target) : NJ_ENOMEM;
    if (err != NJ_OK) {
        nj_free(target.name);
    }
    return err;
}

static enum nj_err add_holders(struct nj_dynsec_kick *kick, enum kind kind,
                               struct nj_dynsec_state *state, uint32_t id)
{
    const struct target target = {.kind = kind, .id = id, .state = state};
    enum nj_err err = add(kick, &target);
    if (err == NJ_OK) {
        (void)nj_dynsec_state_ref(state);
    }
    return err;
}

enum nj_err nj_dynsec_kick_role(struct nj_dynsec_kick *kick, struct nj_dynsec_state *state,
                                uint32_t role_id)
{
    return add_holders(kick, KICK_ROLE, state, role_id);
}

enum nj_err nj_dynsec_kick_group(struct nj_dynsec_kick *kick, struct nj_dynsec_state *state,
                                 uint32_t group_id)
{
    return add_holders(kick, KICK_GROUP, state, group_id);
}

enum nj_err nj_dynsec_kick_anonymous(struct nj_dynsec_kick *kick)
{
    const struct target target = {.kind = KICK_ANONYMOUS};
    return add(kick, &target);
}

static bool concerns_anonymous(const struct target *target)
{
    const struct nj_dynsec_state *state = target->state;
    const struct nj_dynsec_group *group =
        state ? nj_dynsec_group_by_id(state, state->anonymous_group) : NULL;
    switch (target->kind) {
    case KICK_ANONYMOUS:
        return true;
    case KICK_GROUP:
        return group && group->id == target->id;
    case KICK_ROLE:
        return group && nj_dynsec_ref_find(group->roles, group->role_count, target->id) >= 0;
    default:
        return false;
    }
}

static bool concerns_user(const struct target *target, struct nj_bytes user)
{
    if (target->kind == KICK_CLIENT) {
        return nj_bytes_equal(user, nj_bytes(target->name, target->name_len));
    }
    const struct nj_dynsec_client *client =
        target->state ? nj_dynsec_client(target->state, user) : NULL;
    if (!client) {
        return false;
    }
    return target->kind == KICK_ROLE
               ? nj_dynsec_client_has_role(target->state, client, target->id)
               : nj_dynsec_ref_find(client->groups, client->group_count, target->id) >= 0;
}

static int compare_targets(const void *a, const void *b)
{
    const struct target *x = a;
    const struct target *y = b;
    if (x->kind != KICK_CLIENT || y->kind != KICK_CLIENT) {
        return (x->kind != KICK_CLIENT) - (y->kind != KICK_CLIENT);
    }
    return nj_bytes_compare(nj_bytes(x->name, x->name_len), nj_bytes(y->name, y->name_len));
}

void nj_dynsec_kick_seal(struct nj_dynsec_kick *kick)
{
    size_t count = nj_dynsec_kick_count(kick);
    struct target *targets = (struct target *)(void *)kick->targets.data;
    kick->sorted = 0;
    if (count) {
        qsort(targets, count, sizeof(*targets), compare_targets);
    }
    while (kick->sorted < count && targets[kick->sorted].kind == KICK_CLIENT) {
        kick->sorted++;
    }
}

static int compare_name(const void *name, const void *target)
{
    const struct target *other = target;
    return nj_bytes_compare(*(const struct nj_bytes *)name, nj_bytes(other->name, other->name_len));
}

bool nj_dynsec_kick_concerns(const struct nj_dynsec_kick *kick, struct nj_bytes user)
{
    size_t count;
    const struct target *targets = targets_of(kick, &count);
    if (user.ptr && kick->sorted &&
        bsearch(&user, targets, kick->sorted, sizeof(*targets), compare_name)) {
        return true;
    }
    for (size_t i = kick->sorted; i < count; i++) {
        if (user.ptr ? concerns_user(&targets[i], user) : concerns_anonymous(&targets[i])) {
            return true;
        }
    }
    return false;
}
