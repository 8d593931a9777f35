/* Dynamic security as JSON: the elements of the file, which are also what the
 * journal holds and what requests carry. dynsec_load.c and dynsec_save.c do whole files.
 *
 * Reading goes through jansson, one element at a time, so that a file of a hundred thousand clients
 * is never a tree in memory; writing goes straight into a buffer. */
#ifndef NJ_SECURITY_DYNSEC_JSON_H
#define NJ_SECURITY_DYNSEC_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json_out.h"
#include "security/dynsec_model.h"
#include "security/password.h"

/* What may be wrong with a part of a file. */
enum nj_dynsec_doubt {
    NJ_DYNSEC_BAD,          /* refused */
    NJ_DYNSEC_UNKNOWN_KEY,  /* passed over; refused when all keys have to be known */
    NJ_DYNSEC_UNKNOWN_NAME, /* of a group, role or client: passed over */
};

/* What reading an element needs: room for its parts, and where to say what is wrong. */
struct nj_dynsec_reader {
    const struct nj_dynsec_state *state; /* in which names of roles and groups are looked up */
    bool knows_all_keys;                 /* other keys than the known are errors */
    unsigned unknown_refs;               /* names that nothing has; they are left out */
    /* Told of keys and names that are passed over; NULL = nobody wants to know. */
    void (*doubt)(void *arg, enum nj_dynsec_doubt doubt, const char *text);
    void *doubt_arg;
    struct nj_buf refs;          /* struct nj_dynsec_ref */
    struct nj_buf groups;        /* the same, of groups */
    struct nj_buf acls;          /* struct nj_dynsec_acl */
    char hash[NJ_HASH_TEXT_MAX]; /* made of the 2.0 form */
    char error[200];             /* one sentence without a full stop */
};

void nj_dynsec_reader_init(struct nj_dynsec_reader *reader, const struct nj_dynsec_state *state);
void nj_dynsec_reader_fini(struct nj_dynsec_reader *reader);

/* -- elements of the file. The result is made of views into `object` and the reader: it lives until
 * the next call. NJ_EMALFORMED, with `error`; NJ_ENOMEM -- */
enum nj_err nj_dynsec_read_role(struct nj_dynsec_reader *reader, const json_t *object,
                                struct nj_dynsec_role *out) NJ_NODISCARD;
/* `clients` is the caller's business. */
enum nj_err nj_dynsec_read_group(struct nj_dynsec_reader *reader, const json_t *object,
                                 struct nj_dynsec_group *out) NJ_NODISCARD;
/* `groups` are those that the element itself names. */
enum nj_err nj_dynsec_read_client(struct nj_dynsec_reader *reader, const json_t *object,
                                  struct nj_dynsec_client *out) NJ_NODISCARD;
/* One entry of a group's `clients`. */
enum nj_err nj_dynsec_read_member(struct nj_dynsec_reader *reader, const json_t *object,
                                  struct nj_bytes *name, int32_t *priority) NJ_NODISCARD;
enum nj_err nj_dynsec_read_defaults(struct nj_dynsec_reader *reader, const json_t *object,
                                    bool out[NJ_DYNSEC_ACCESS_COUNT]) NJ_NODISCARD;

/* -- writing -- */

enum nj_dynsec_form {
    NJ_DYNSEC_FORM_21, /* Mosquitto 2.1: encoded_password */
    NJ_DYNSEC_FORM_20, /* Mosquitto 2.0: password, salt, iterations; what has no such form is left
                          out, and so are our own keys */
};

/* As in the file; `state` gives the names. */
void nj_dynsec_write_role(struct nj_json_out *out, const struct nj_dynsec_role *role);
void nj_dynsec_write_group(struct nj_json_out *out, const struct nj_dynsec_state *state,
                           const struct nj_dynsec_group *group, bool with_members);
void nj_dynsec_write_client(struct nj_json_out *out, const struct nj_dynsec_state *state,
                            const struct nj_dynsec_client *client, enum nj_dynsec_form form);
void nj_dynsec_write_defaults(struct nj_json_out *out, const bool allow[NJ_DYNSEC_ACCESS_COUNT]);
/* Whether Mosquitto 2.0 can verify the client's password. True when it has none. */
bool nj_dynsec_has_form_20(const struct nj_dynsec_client *client);

#endif
