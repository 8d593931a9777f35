/* Writing the file of dynamic security. See dynsec_file.h. */
#include "base/mem.h"
#include "security/dynsec_file.h"

#define PIECE ((size_t)256 * 1024)

struct saver {
    struct nj_json_out out;
    const struct nj_dynsec_state *state;
    enum nj_dynsec_form form;
    enum nj_err (*fn)(void *arg, struct nj_bytes piece); /* NULL = it stays in the buffer */
    void *arg;
};

static void hand_over(struct saver *saver)
{
    struct nj_buf *text = saver->out.buf;
    if (saver->out.err == NJ_OK) {
        saver->out.err = saver->fn(saver->arg, nj_buf_bytes(text));
    }
    nj_wipe(text->data, text->len);
    text->len = 0;
}

/* Behind each item. */
static bool go_on(struct saver *saver)
{
    if (saver->fn && saver->out.buf->len >= PIECE) {
        hand_over(saver);
    }
    return saver->out.err == NJ_OK;
}

static bool save_role(void *arg, void *item)
{
    struct saver *saver = arg;
    nj_dynsec_write_role(&saver->out, item);
    return go_on(saver);
}

static bool save_group(void *arg, void *item)
{
    struct saver *saver = arg;
    nj_dynsec_write_group(&saver->out, saver->state, item, true);
    return go_on(saver);
}

static bool save_client(void *arg, void *item)
{
    struct saver *saver = arg;
    nj_dynsec_write_client(&saver->out, saver->state, item, saver->form);
    return go_on(saver);
}

static void save_list(struct saver *saver, const char *key, const struct nj_pmap *map,
                      bool (*fn)(void *arg, void *item))
{
    nj_json_out_key(&saver->out, key);
    nj_json_out_array(&saver->out);
    (void)nj_pmap_walk(map, fn, saver);
    nj_json_out_end(&saver->out);
}

static void save_special(struct saver *saver, const char *key, uint32_t id)
{
    const struct nj_dynsec_group *group =
        id == NJ_DYNSEC_NOBODY ? NULL : nj_dynsec_group_by_id(saver->state, id);
    if (group) {
        nj_json_out_key(&saver->out, key);
        nj_json_out_text(&saver->out, group->name);
    }
}

static void write_all(struct saver *saver)
{
    const struct nj_dynsec_state *state = saver->state;
    nj_json_out_object(&saver->out);
    if (saver->form == NJ_DYNSEC_FORM_21) {
        nj_json_out_key(&saver->out, "changeIndex");
        nj_json_out_int(&saver->out, (int64_t)state->change_index);
    }
    nj_json_out_key(&saver->out, "defaultACLAccess");
    nj_dynsec_write_defaults(&saver->out, state->defaults);
    save_list(saver, "clients", &state->clients, save_client);
    save_list(saver, "groups", &state->groups, save_group);
    save_list(saver, "roles", &state->roles, save_role);
    save_special(saver, "anonymousGroup", state->anonymous_group);
    if (saver->form == NJ_DYNSEC_FORM_21) {
        save_special(saver, "certificateGroup", state->certificate_group);
    }
    nj_json_out_end(&saver->out);
}

enum nj_err nj_dynsec_save_in_pieces(const struct nj_dynsec_state *state, enum nj_dynsec_form form,
                                     enum nj_err (*fn)(void *arg, struct nj_bytes piece), void *arg)
{
    struct nj_buf text = {NULL, 0, 0};
    struct saver saver = {.state = state, .form = form, .fn = fn, .arg = arg};
    nj_json_out_init(&saver.out, &text, true);
    write_all(&saver);
    hand_over(&saver);
    nj_buf_fini(&text);
    return saver.out.err;
}

enum nj_err nj_dynsec_save(const struct nj_dynsec_state *state, enum nj_dynsec_form form,
                           struct nj_buf *out)
{
    struct saver saver = {.state = state, .form = form};
    nj_json_out_init(&saver.out, out, true);
    write_all(&saver);
    return saver.out.err;
}
