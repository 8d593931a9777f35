/* Reading the file of dynamic security. See dynsec_file.h.
 *
 *   text ──scan──► where the seven parts lie ──► roles ──► groups ──► clients ──► memberships
 *
 * The scan only finds where values begin and end; each element is then read and checked by jansson
 * on its own. Parts are taken in the order of their references, whatever the order in the file.
 * Maps are built from sorted arrays at the end, which is linear. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "security/dynsec_edit.h"
#include "security/dynsec_file.h"

/* Names that come twice are looked for in the text, one after the other: so many. */
#define TWINS_MAX 50

enum part {
    PART_INDEX,
    PART_DEFAULTS,
    PART_ANONYMOUS,
    PART_CERTIFICATE,
    PART_ROLES,
    PART_GROUPS,
    PART_CLIENTS,
    PART_COUNT
};

static const char *const part_names[PART_COUNT] = {
    [PART_INDEX] = "changeIndex",
    [PART_DEFAULTS] = "defaultACLAccess",
    [PART_ANONYMOUS] = "anonymousGroup",
    [PART_ROLES] = "roles",
    [PART_CERTIFICATE] = "certificateGroup",
    [PART_GROUPS] = "groups",
    [PART_CLIENTS] = "clients",
};

struct membership {
    uint32_t group_id;
    uint32_t at;                     /* offset in the text: NJ_DYNSEC_FILE_MAX fits */
    struct nj_dynsec_member *member; /* NULL = dropped */
};

struct loader {
    struct nj_bytes text;
    const uint8_t *at; /* of the scan */
    struct nj_bytes parts[PART_COUNT];
    struct nj_dynsec_load *load;
    size_t bad_count;             /* elements that were left out */
    struct nj_dynsec_place wrong; /* where load->error is */
    const char *wrong_text;       /* its part behind the place */
    const uint8_t *element;       /* begin of the one at work */
    const uint8_t *mark;          /* lines have been counted up to here */
    size_t mark_line;
    const uint8_t *mark_start; /* of that line */
    struct nj_bytes twin;      /* a name that comes twice */
    size_t twin_count;
    struct nj_dynsec_reader reader;
    struct nj_dynsec_edit edit;
    struct nj_buf clients;     /* struct nj_dynsec_client *, one reference each */
    struct nj_buf memberships; /* struct membership */
};

/* ---- saying where */

/* Places are mostly asked for from the beginning to the end, so lines are counted once. */
static struct nj_dynsec_place place_of(struct loader *loader, const uint8_t *where)
{
    if (!loader->mark || where < loader->mark) {
        loader->mark = loader->text.ptr;
        loader->mark_start = loader->mark;
        loader->mark_line = 1;
    }
    for (; loader->mark < where; loader->mark++) {
        if (*loader->mark == '\n') {
            loader->mark_line++;
            loader->mark_start = loader->mark + 1;
        }
    }
    return (struct nj_dynsec_place){loader->mark_line, (size_t)(where - loader->mark_start) + 1};
}

NJ_PRINTF(3, 4)
static enum nj_err wrong_at(struct loader *loader, const uint8_t *where, const char *fmt, ...)
{
    loader->wrong = place_of(loader, where);
    int len = snprintf(loader->load->error, sizeof(loader->load->error),
                       "line %zu, column %zu: ", loader->wrong.line, loader->wrong.column);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(loader->load->error + len, sizeof(loader->load->error) - (size_t)len, fmt,
                    args);
    va_end(args);
    loader->wrong_text = loader->load->error + len;
    return NJ_EMALFORMED;
}

static void tell(const struct loader *loader, const struct nj_dynsec_place *place,
                 enum nj_dynsec_doubt doubt, const char *text)
{
    const struct nj_dynsec_watch *watch = loader->load->watch;
    if (watch) {
        watch->tell(watch->arg, place, doubt, text);
    }
}

/* With a watch, one bad element does not end the loading. */
static enum nj_err pass_over(struct loader *loader, enum nj_err err)
{
    if (err != NJ_EMALFORMED || !loader->load->watch) {
        return err;
    }
    tell(loader, &loader->wrong, NJ_DYNSEC_BAD, loader->wrong_text);
    loader->bad_count++;
    loader->load->error[0] = '\0';
    return NJ_OK;
}

/* From the reader, about the element at work. */
static void take_doubt(void *arg, enum nj_dynsec_doubt doubt, const char *text)
{
    struct loader *loader = arg;
    const struct nj_dynsec_place place = place_of(loader, loader->element);
    tell(loader, &place, doubt, text);
}

/* ---- the scan */

static const uint8_t *end_of(const struct loader *loader)
{
    return loader->text.ptr + loader->text.len;
}

/* The next byte that is no blank; 0 at the end. */
static uint8_t peek(struct loader *loader)
{
    const uint8_t *end = end_of(loader);
    while (loader->at < end && (*loader->at == ' ' || *loader->at == '\t' || *loader->at == '\n' ||
                                *loader->at == '\r')) {
        loader->at++;
    }
    return loader->at < end ? *loader->at : 0;
}

static enum nj_err expect(struct loader *loader, char what)
{
    if (peek(loader) != (uint8_t)what) {
        return wrong_at(loader, loader->at,
                        loader->at < end_of(loader) ? "'%c' has to stand here"
                                                    : "the file ends where '%c' has to stand",
                        what);
    }
    loader->at++;
    return NJ_OK;
}

static enum nj_err skip_text(struct loader *loader)
{
    const uint8_t *start = loader->at++;
    const uint8_t *end = end_of(loader);
    while (loader->at < end && *loader->at != '"') {
        loader->at += *loader->at == '\\' ? 2 : 1;
    }
    if (loader->at >= end) {
        loader->at = end;
        return wrong_at(loader, start, "this text has no end");
    }
    loader->at++;
    return NJ_OK;
}

/* From the first byte of a value to the first behind it. */
static enum nj_err skip_value(struct loader *loader, struct nj_bytes *out)
{
    const uint8_t *start = loader->at;
    const uint8_t *end = end_of(loader);
    size_t depth = 0;
    while (loader->at < end) {
        uint8_t byte = *loader->at;
        if (byte == '"') {
            enum nj_err err = skip_text(loader);
            if (err != NJ_OK) {
                return err;
            }
            continue;
        }
        if ((byte == '}' || byte == ']' || byte == ',') && depth == 0) {
            break;
        }
        depth += byte == '{' || byte == '[';
        depth -= byte == '}' || byte == ']';
        loader->at++;
    }
    if (depth) {
        return wrong_at(loader, start, "what begins here has no end");
    }
    *out = nj_bytes(start, (size_t)(loader->at - start));
    return out->len ? NJ_OK : wrong_at(loader, start, "a value has to stand here");
}

/* Reads a value, which has to be the whole of `text`. */
static enum nj_err parse(struct loader *loader, struct nj_bytes text, json_t **out)
{
    json_error_t error;
    *out = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
                      &error);
    if (*out) {
        return NJ_OK;
    }
    if (json_error_code(&error) == json_error_out_of_memory) {
        return NJ_ENOMEM;
    }
    size_t position = error.position < 0 ? 0 : (size_t)error.position;
    return wrong_at(loader, text.ptr + (position < text.len ? position : text.len), "%s",
                    error.text);
}

static enum nj_err take_part(struct loader *loader, struct nj_bytes key, const uint8_t *where)
{
    struct nj_bytes value = {NULL, 0};
    json_t *other = NULL;
    enum nj_err err = skip_value(loader, &value);
    for (int i = 0; i < PART_COUNT && err == NJ_OK; i++) {
        if (!nj_bytes_equal(key, nj_bytes_of(part_names[i]))) {
            continue;
        }
        if (loader->parts[i].ptr) {
            return wrong_at(loader, where, "\"%s\" stands here a second time", part_names[i]);
        }
        loader->parts[i] = value;
        return NJ_OK;
    }
    if (err == NJ_OK) {
        err = wrong_at(loader, where, "the key \"%.*s\" is not known here",
                       (int)(key.len < 60 ? key.len : 60), (const char *)key.ptr);
        if (loader->load->knows_all_keys) {
            return pass_over(loader, err);
        }
        tell(loader, &loader->wrong, NJ_DYNSEC_UNKNOWN_KEY, loader->wrong_text);
        loader->load->error[0] = '\0';
        err = NJ_OK;
    }
    err = err == NJ_OK ? parse(loader, value, &other) : err;
    if (err == NJ_OK) {
        json_decref(other);
    }
    return err;
}

static enum nj_err scan_member(struct loader *loader)
{
    if (peek(loader) != '"') {
        return wrong_at(loader, loader->at, "a key has to stand here");
    }
    const uint8_t *start = loader->at;
    enum nj_err err = skip_text(loader);
    struct nj_bytes key = nj_bytes(start + 1, (size_t)(loader->at - start) - 2);
    err = err == NJ_OK ? expect(loader, ':') : err;
    if (err == NJ_OK) {
        (void)peek(loader);
        err = take_part(loader, key, start);
    }
    return err;
}

static enum nj_err scan(struct loader *loader)
{
    const struct nj_bytes mark = NJ_BYTES_LIT("\xef\xbb\xbf");
    loader->at = loader->text.ptr + (nj_bytes_starts_with(loader->text, mark) ? mark.len : 0);
    enum nj_err err = expect(loader, '{');
    bool has_more = err == NJ_OK && peek(loader) != '}';
    while (has_more && err == NJ_OK) {
        err = scan_member(loader);
        has_more = err == NJ_OK && peek(loader) == ',';
        loader->at += has_more;
    }
    err = err == NJ_OK ? expect(loader, '}') : err;
    if (err == NJ_OK && (peek(loader) || loader->at < end_of(loader))) {
        return wrong_at(loader, loader->at, "nothing may stand behind the last '}'");
    }
    return err;
}

/* ---- elements */

typedef enum nj_err (*element_fn)(struct loader *loader, const json_t *element);

/* What the reader said, with the element's place. */
static enum nj_err located(struct loader *loader, enum nj_err err, const uint8_t *where,
                           const char *part, size_t number)
{
    if (err != NJ_EMALFORMED) {
        return err;
    }
    if (loader->load->error[0]) {
        return err; /* already said */
    }
    return wrong_at(loader, where, "entry %zu of \"%s\": %s", number, part, loader->reader.error);
}

static enum nj_err take_element(struct loader *loader, enum part part, size_t number, element_fn fn)
{
    struct nj_bytes value = {NULL, 0};
    json_t *element = NULL;
    (void)peek(loader);
    loader->element = loader->at;
    enum nj_err err = skip_value(loader, &value);
    if (err != NJ_OK) {
        return err; /* where the next one begins is not known, either */
    }
    err = parse(loader, value, &element);
    if (err == NJ_OK) {
        err = located(loader, fn(loader, element), loader->element, part_names[part], number);
    }
    json_decref(element);
    return pass_over(loader, err);
}

static enum nj_err each_element(struct loader *loader, enum part part, element_fn fn)
{
    struct nj_bytes array = loader->parts[part];
    enum nj_err err = NJ_OK;
    if (!array.ptr) {
        return NJ_OK;
    }
    if (array.ptr[0] != '[') {
        return wrong_at(loader, array.ptr, "\"%s\" has to be a list", part_names[part]);
    }
    loader->at = array.ptr + 1;
    bool has_more = peek(loader) != ']';
    for (size_t number = 1; has_more && err == NJ_OK; number++) {
        err = take_element(loader, part, number, fn);
        has_more = err == NJ_OK && peek(loader) == ',';
        loader->at += has_more;
    }
    return err == NJ_OK ? expect(loader, ']') : err;
}

static enum nj_err said(struct loader *loader, const char *what, struct nj_bytes name)
{
    (void)snprintf(loader->reader.error, sizeof(loader->reader.error),
                   "the %s \"%.*s\" is there a second time", what,
                   (int)(name.len < 100 ? name.len : 100), (const char *)name.ptr);
    return NJ_EMALFORMED;
}

static enum nj_err take_role(struct loader *loader, const json_t *element)
{
    struct nj_dynsec_role role;
    enum nj_err err = nj_dynsec_read_role(&loader->reader, element, &role);
    if (err == NJ_OK && nj_dynsec_role(loader->edit.state, role.name)) {
        return said(loader, "role", role.name);
    }
    return err == NJ_OK ? nj_dynsec_step_role(&loader->edit, &role) : err;
}

static enum nj_err add_membership(struct loader *loader, uint32_t group_id, struct nj_bytes name,
                                  int32_t priority)
{
    struct membership membership = {
        .group_id = group_id,
        .at = (uint32_t)(loader->element - loader->text.ptr),
        .member = nj_dynsec_member_make(name, priority),
    };
    if (!membership.member) {
        return NJ_ENOMEM;
    }
    enum nj_err err = nj_buf_append(&loader->memberships, &membership, sizeof(membership));
    if (err != NJ_OK) {
        nj_dynsec_members_type.unref(membership.member);
    }
    return err;
}

static enum nj_err take_group(struct loader *loader, const json_t *element)
{
    struct nj_dynsec_group group;
    size_t i;
    json_t *entry;
    enum nj_err err = nj_dynsec_read_group(&loader->reader, element, &group);
    if (err != NJ_OK) {
        return err;
    }
    if (nj_dynsec_group(loader->edit.state, group.name)) {
        return said(loader, "group", group.name);
    }
    err = nj_dynsec_step_group(&loader->edit, &group);
    uint32_t id = err == NJ_OK ? nj_dynsec_group(loader->edit.state, group.name)->id : 0;
    json_array_foreach(json_object_get(element, "clients"), i, entry)
    {
        struct nj_bytes name;
        int32_t priority;
        if (err != NJ_OK) {
            break;
        }
        err = nj_dynsec_read_member(&loader->reader, entry, &name, &priority);
        err = err == NJ_OK ? add_membership(loader, id, name, priority) : err;
    }
    return err;
}

static enum nj_err take_client(struct loader *loader, const json_t *element)
{
    struct nj_dynsec_client client;
    struct nj_dynsec_ref *roles;
    struct nj_dynsec_state *state = loader->edit.state;
    enum nj_err err = nj_dynsec_read_client(&loader->reader, element, &client);
    for (uint32_t i = 0; err == NJ_OK && i < client.group_count; i++) {
        err = add_membership(loader, client.groups[i].id, client.name, client.groups[i].priority);
    }
    if (err == NJ_OK) {
        err = nj_dynsec_refs_sort(state, false, client.roles, &client.role_count, &roles);
    }
    if (err != NJ_OK) {
        return err;
    }
    client.groups = NULL;
    client.group_count = 0;
    client.roles = roles;
    client.credential = state->next_credential++;
    if (loader->load->watch) {
        const struct nj_dynsec_place place = place_of(loader, loader->element);
        loader->load->watch->client(loader->load->watch->arg, &place, &client);
    }
    struct nj_dynsec_client *record = nj_dynsec_client_make(&client);
    nj_free(roles);
    err = record ? nj_buf_append(&loader->clients, &record, sizeof(record)) : NJ_ENOMEM;
    if (err != NJ_OK && record) {
        nj_dynsec_clients_type.unref(record);
    }
    return err;
}

/* ---- memberships, from both sides */

static int compare_clients(const void *a, const void *b)
{
    const struct nj_dynsec_client *x = *(struct nj_dynsec_client *const *)a;
    const struct nj_dynsec_client *y = *(struct nj_dynsec_client *const *)b;
    return nj_bytes_compare(x->name, y->name);
}

static struct nj_bytes member_name(const struct membership *membership)
{
    return nj_bytes(membership->member->name, membership->member->name_len);
}

static int compare_names(const void *a, const void *b)
{
    int order = nj_bytes_compare(member_name(a), member_name(b));
    const struct membership *x = a;
    const struct membership *y = b;
    return order ? order : (x->group_id > y->group_id) - (x->group_id < y->group_id);
}

static int compare_groups(const void *a, const void *b)
{
    const struct membership *x = a;
    const struct membership *y = b;
    int order = (x->group_id > y->group_id) - (x->group_id < y->group_id);
    return order ? order : nj_bytes_compare(member_name(x), member_name(y));
}

static void tell_stranger(struct loader *loader, const struct membership *membership)
{
    char text[300];
    struct nj_bytes name = member_name(membership);
    const struct nj_dynsec_group *group =
        nj_dynsec_group_by_id(loader->edit.state, membership->group_id);
    if (loader->load->watch) {
        const struct nj_dynsec_place place = place_of(loader, loader->text.ptr + membership->at);
        (void)snprintf(text, sizeof(text), "there is no client \"%.*s\", a member of \"%.*s\"",
                       (int)(name.len < 100 ? name.len : 100), (const char *)name.ptr,
                       (int)(group->name.len < 100 ? group->name.len : 100),
                       (const char *)group->name.ptr);
        tell(loader, &place, NJ_DYNSEC_UNKNOWN_NAME, text);
    }
}

/* Keeps those of existing clients, each once. Both arrays are sorted by name. */
static void drop_unknown(struct loader *loader, struct nj_dynsec_client **clients, size_t count)
{
    struct membership *list = (struct membership *)(void *)loader->memberships.data;
    size_t total = loader->memberships.len / sizeof(*list);
    size_t kept = 0;
    size_t at = 0;
    for (size_t i = 0; i < total; i++) {
        struct nj_bytes name = member_name(&list[i]);
        while (at < count && nj_bytes_compare(clients[at]->name, name) < 0) {
            at++;
        }
        bool is_known = at < count && nj_bytes_equal(clients[at]->name, name);
        if (is_known && (kept == 0 || compare_names(&list[kept - 1], &list[i]) != 0)) {
            list[kept++] = list[i];
            continue;
        }
        if (!is_known) {
            loader->load->unknown_refs++;
            tell_stranger(loader, &list[i]);
        }
        nj_dynsec_members_type.unref(list[i].member);
    }
    loader->memberships.len = kept * sizeof(*list);
}

/* The client's record, once more, with its groups. */
static enum nj_err put_groups(struct loader *loader, struct nj_dynsec_client **client,
                              const struct membership *list, size_t count)
{
    struct nj_dynsec_client next;
    struct nj_dynsec_ref *sorted;
    uint32_t kept = (uint32_t)count;
    struct nj_dynsec_ref *groups = nj_try_alloc(count * sizeof(*groups));
    if (!groups) {
        return NJ_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        groups[i] = (struct nj_dynsec_ref){list[i].group_id, list[i].member->priority};
    }
    enum nj_err err = nj_dynsec_refs_sort(loader->edit.state, true, groups, &kept, &sorted);
    nj_free(groups);
    if (err != NJ_OK) {
        return err;
    }
    memcpy(&next, *client, sizeof(next));
    next.groups = sorted;
    next.group_count = kept;
    struct nj_dynsec_client *record = nj_dynsec_client_make(&next);
    nj_free(sorted);
    if (!record) {
        return NJ_ENOMEM;
    }
    nj_dynsec_clients_type.unref(*client);
    *client = record;
    return NJ_OK;
}

static enum nj_err join_clients(struct loader *loader, struct nj_dynsec_client **clients,
                                size_t count)
{
    struct membership *list = (struct membership *)(void *)loader->memberships.data;
    size_t total = loader->memberships.len / sizeof(*list);
    enum nj_err err = NJ_OK;
    size_t at = 0;
    for (size_t i = 0, next; i < total && err == NJ_OK; i = next) {
        for (next = i + 1;
             next < total && nj_bytes_equal(member_name(&list[i]), member_name(&list[next]));
             next++) {
        }
        while (at < count && !nj_bytes_equal(clients[at]->name, member_name(&list[i]))) {
            at++;
        }
        err = put_groups(loader, &clients[at], &list[i], next - i);
    }
    return err;
}

/* Takes the members from list[0] to list[count - 1] over. */
static enum nj_err fill_group(struct nj_dynsec_state *state, const struct membership *list,
                              size_t count)
{
    struct nj_dynsec_group next;
    const struct nj_dynsec_group *old = nj_dynsec_group_by_id(state, list[0].group_id);
    void **items = nj_try_alloc(count * sizeof(*items));
    for (size_t i = 0; i < count; i++) {
        if (items) {
            items[i] = list[i].member;
        } else {
            nj_dynsec_members_type.unref(list[i].member);
        }
    }
    memcpy(&next, old, sizeof(next));
    enum nj_err err =
        items ? nj_pmap_build(&next.members, &nj_dynsec_members_type, items, count) : NJ_ENOMEM;
    nj_free(items);
    if (err != NJ_OK) {
        return err;
    }
    struct nj_dynsec_group *record = nj_dynsec_group_make(&next);
    nj_pmap_fini(&next.members);
    if (!record) {
        return NJ_ENOMEM;
    }
    err = nj_pmap_put(&state->group_ids, nj_dynsec_groups_type.ref(record));
    if (err != NJ_OK) {
        nj_dynsec_groups_type.unref(record);
        return err;
    }
    return nj_pmap_put(&state->groups, record);
}

static enum nj_err fill_groups(struct loader *loader)
{
    struct membership *list = (struct membership *)(void *)loader->memberships.data;
    size_t total = loader->memberships.len / sizeof(*list);
    enum nj_err err = NJ_OK;
    size_t i = 0;
    if (total) {
        qsort(list, total, sizeof(*list), compare_groups);
    }
    while (i < total && err == NJ_OK) {
        size_t next = i + 1;
        while (next < total && list[next].group_id == list[i].group_id) {
            next++;
        }
        err = fill_group(loader->edit.state, &list[i], next - i);
        i = next;
    }
    /* What was not given away. */
    if (i < total) {
        memmove(list, list + i, (total - i) * sizeof(*list));
    }
    loader->memberships.len = (total - i) * sizeof(*list);
    return err;
}

/* All but the first of this name, in the order of the file. */
static enum nj_err look_for_twin(struct loader *loader, const json_t *element)
{
    const json_t *name = json_object_get(element, "username");
    bool is_one =
        nj_bytes_equal(nj_bytes(json_string_value(name), json_string_length(name)), loader->twin);
    return is_one && loader->twin_count++ > 0 ? said(loader, "client", loader->twin) : NJ_OK;
}

/* The clients are sorted by name. */
static enum nj_err find_twins(struct loader *loader, struct nj_dynsec_client **clients,
                              size_t count)
{
    enum nj_err err = NJ_OK;
    size_t found = 0;
    for (size_t i = 1; i < count && err == NJ_OK && found < TWINS_MAX; i++) {
        if (nj_bytes_equal(clients[i - 1]->name, clients[i]->name) &&
            !nj_bytes_equal(clients[i]->name, loader->twin)) {
            loader->twin = clients[i]->name;
            loader->twin_count = 0;
            err = each_element(loader, PART_CLIENTS, look_for_twin);
            found++;
        }
    }
    return err;
}

static enum nj_err join_all(struct loader *loader)
{
    struct nj_dynsec_client **clients = (struct nj_dynsec_client **)(void *)loader->clients.data;
    size_t count = loader->clients.len / sizeof(struct nj_dynsec_client *);
    struct nj_buf *memberships = &loader->memberships;
    if (count) {
        qsort(clients, count, sizeof(struct nj_dynsec_client *), compare_clients);
    }
    enum nj_err err = find_twins(loader, clients, count);
    if (err != NJ_OK || loader->bad_count) {
        return err;
    }
    if (memberships->len) {
        qsort(memberships->data, memberships->len / sizeof(struct membership),
              sizeof(struct membership), compare_names);
    }
    drop_unknown(loader, clients, count);
    err = join_clients(loader, clients, count);
    err = err == NJ_OK ? fill_groups(loader) : err;
    if (err == NJ_OK && count) {
        err = nj_pmap_build(&loader->edit.state->clients, &nj_dynsec_clients_type, (void **)clients,
                            count);
        loader->clients.len = 0;
    }
    return err;
}

/* ---- single values */

static enum nj_err take_index(struct loader *loader, const json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        (void)snprintf(loader->reader.error, sizeof(loader->reader.error),
                       "\"changeIndex\" has to be a whole number");
        return NJ_EMALFORMED;
    }
    loader->edit.state->change_index = (uint64_t)json_integer_value(value);
    return NJ_OK;
}

static enum nj_err take_defaults(struct loader *loader, const json_t *value)
{
    return nj_dynsec_read_defaults(&loader->reader, value, loader->edit.state->defaults);
}

static enum nj_err take_special(struct loader *loader, const json_t *value, uint32_t *id)
{
    if (!json_is_string(value)) {
        (void)snprintf(loader->reader.error, sizeof(loader->reader.error),
                       "the name of a group has to stand here");
        return NJ_EMALFORMED;
    }
    const struct nj_dynsec_group *group = nj_dynsec_group(
        loader->edit.state, nj_bytes(json_string_value(value), json_string_length(value)));
    *id = group ? group->id : NJ_DYNSEC_NOBODY;
    if (!group) {
        char text[200];
        (void)snprintf(text, sizeof(text), "there is no group \"%.100s\"",
                       json_string_value(value));
        loader->load->unknown_refs++;
        take_doubt(loader, NJ_DYNSEC_UNKNOWN_NAME, text);
    }
    return NJ_OK;
}

static enum nj_err take_anonymous(struct loader *loader, const json_t *value)
{
    return take_special(loader, value, &loader->edit.state->anonymous_group);
}

static enum nj_err take_certificate(struct loader *loader, const json_t *value)
{
    return take_special(loader, value, &loader->edit.state->certificate_group);
}

static enum nj_err single(struct loader *loader, enum part part, element_fn fn)
{
    struct nj_bytes text = loader->parts[part];
    json_t *value = NULL;
    if (!text.ptr) {
        return NJ_OK;
    }
    loader->element = text.ptr;
    enum nj_err err = parse(loader, text, &value);
    if (err == NJ_OK) {
        err = fn(loader, value);
    }
    if (err == NJ_EMALFORMED && !loader->load->error[0]) {
        err = wrong_at(loader, text.ptr, "%s", loader->reader.error);
    }
    json_decref(value);
    return pass_over(loader, err);
}

/* ---- outward */

static void loader_fini(struct loader *loader)
{
    struct nj_dynsec_client **clients = (struct nj_dynsec_client **)(void *)loader->clients.data;
    for (size_t i = 0; i < loader->clients.len / sizeof(struct nj_dynsec_client *); i++) {
        nj_dynsec_clients_type.unref(clients[i]);
    }
    struct membership *list = (struct membership *)(void *)loader->memberships.data;
    for (size_t i = 0; i < loader->memberships.len / sizeof(*list); i++) {
        nj_dynsec_members_type.unref(list[i].member);
    }
    nj_buf_fini(&loader->clients);
    nj_buf_fini(&loader->memberships);
    nj_dynsec_reader_fini(&loader->reader);
    nj_dynsec_edit_fini(&loader->edit);
}

static enum nj_err load_parts(struct loader *loader)
{
    enum nj_err err = scan(loader);
    err = err == NJ_OK ? single(loader, PART_INDEX, take_index) : err;
    err = err == NJ_OK ? single(loader, PART_DEFAULTS, take_defaults) : err;
    err = err == NJ_OK ? each_element(loader, PART_ROLES, take_role) : err;
    err = err == NJ_OK ? each_element(loader, PART_GROUPS, take_group) : err;
    err = err == NJ_OK ? each_element(loader, PART_CLIENTS, take_client) : err;
    err = err == NJ_OK ? single(loader, PART_ANONYMOUS, take_anonymous) : err;
    err = err == NJ_OK ? single(loader, PART_CERTIFICATE, take_certificate) : err;
    return err == NJ_OK ? join_all(loader) : err;
}

enum nj_err nj_dynsec_load(struct nj_bytes text, struct nj_dynsec_principals *principals,
                           struct nj_dynsec_load *load, struct nj_dynsec_state **out)
{
    struct loader loader = {.text = text, .load = load};
    struct nj_dynsec_state *empty = nj_dynsec_state_new(principals);
    load->error[0] = '\0';
    load->unknown_refs = 0;
    if (!empty) {
        return NJ_ENOMEM;
    }
    enum nj_err err = nj_dynsec_edit_init(&loader.edit, empty);
    nj_dynsec_state_unref(empty);
    if (err != NJ_OK) {
        return err;
    }
    loader.edit.is_replay = true;
    nj_dynsec_reader_init(&loader.reader, loader.edit.state);
    loader.reader.knows_all_keys = load->knows_all_keys;
    loader.reader.doubt = load->watch ? take_doubt : NULL;
    loader.reader.doubt_arg = &loader;
    err = load_parts(&loader);
    err = err == NJ_EMALFORMED && load->watch ? pass_over(&loader, err) : err;
    err = err == NJ_OK && loader.bad_count ? NJ_EMALFORMED : err;
    load->unknown_refs += loader.reader.unknown_refs;
    if (err == NJ_OK) {
        *out = nj_dynsec_state_ref(loader.edit.state);
    }
    loader_fini(&loader);
    return err;
}
