/* The administrator of dynamic security: random changes, made both to the broker's state and to a
 * reference (unit/security/naive_dynsec.h), and the reference's answers. */
#ifndef NJ_TESTS_STATEFUL_ADMIN_H
#define NJ_TESTS_STATEFUL_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct admin;
struct nj_dynsec_state;

#define ADMIN_ARGS 4 /* that one change takes */

/* Three clients, u0 to u2, and everything allowed. */
struct admin *admin_new(void);
void admin_free(struct admin *admin); /* NULL is allowed */

/* One change, the same for the same numbers. `text` says which, for people. */
void admin_change(struct admin *admin, const uint32_t arg[ADMIN_ARGS], char *text, size_t size);
/* Back to what admin_new began with, for the end of a round; accounts that are there stay. */
void admin_open(struct admin *admin);
/* What the broker is to know; borrowed until the next change. */
struct nj_dynsec_state *admin_state(const struct admin *admin);

/* ---- the reference */

enum admin_access {
    ADMIN_SEND,
    ADMIN_RECEIVE,
    ADMIN_SUBSCRIBE,
    ADMIN_UNSUBSCRIBE
};

enum admin_answer {
    ADMIN_NO,
    ADMIN_YES,
    ADMIN_SILENT /* the ACL file decides, if there is one; else no */
};

/* `user` -1 = anonymous. */
enum admin_answer admin_ask(const struct admin *admin, int user, unsigned client,
                            enum admin_access access, const char *topic);
bool admin_knows(const struct admin *admin, int user);
/* Whether this client would be let in with the password of its user. */
bool admin_lets_in(const struct admin *admin, int user, unsigned client);
/* Another number whenever the user's password is another one. */
unsigned admin_password(const struct admin *admin, int user);

#endif
