/* The table of options (opts.c) and what each does with its value (opts_set.c). */
#ifndef NJ_APPS_NJ_OPTS_PRIV_H
#define NJ_APPS_NJ_OPTS_PRIV_H

#include "manual.h"
#include "opts.h"

struct nj_opts_row;
typedef enum nj_opts_result (*nj_opt_fn)(struct nj_opts *opts, const struct nj_opts_row *row,
                                         const char *value);

struct nj_opts_row {
    struct nj_option_text text;
    nj_opt_fn fn;        /* NULL = -D, which takes several values */
    size_t offset;       /* of the field that fn sets */
    const char *missing; /* what the error says when there is no value; NULL = it takes none */
};

#define FIELD(name) offsetof(struct nj_opts, name)

/* `value` is NULL for options without one. */
enum nj_opts_result nj_opt_set_text(struct nj_opts *opts, const struct nj_opts_row *row,
                                    const char *value);
enum nj_opts_result nj_opt_set_secret(struct nj_opts *opts, const struct nj_opts_row *row,
                                      const char *value);
enum nj_opts_result nj_opt_set_flag(struct nj_opts *opts, const struct nj_opts_row *row,
                                    const char *value);
enum nj_opts_result nj_opt_clear_session(struct nj_opts *opts, const struct nj_opts_row *row,
                                         const char *value);
enum nj_opts_result nj_opt_set_id(struct nj_opts *opts, const struct nj_opts_row *row,
                                  const char *value);
enum nj_opts_result nj_opt_set_port(struct nj_opts *opts, const struct nj_opts_row *row,
                                    const char *value);
enum nj_opts_result nj_opt_set_keepalive(struct nj_opts *opts, const struct nj_opts_row *row,
                                         const char *value);
enum nj_opts_result nj_opt_set_qos(struct nj_opts *opts, const struct nj_opts_row *row,
                                   const char *value);
enum nj_opts_result nj_opt_set_will_qos(struct nj_opts *opts, const struct nj_opts_row *row,
                                        const char *value);
enum nj_opts_result nj_opt_set_will_topic(struct nj_opts *opts, const struct nj_opts_row *row,
                                          const char *value);
enum nj_opts_result nj_opt_set_positive(struct nj_opts *opts, const struct nj_opts_row *row,
                                        const char *value);
enum nj_opts_result nj_opt_set_repeat_delay(struct nj_opts *opts, const struct nj_opts_row *row,
                                            const char *value);
enum nj_opts_result nj_opt_set_random_filter(struct nj_opts *opts, const struct nj_opts_row *row,
                                             const char *value);
enum nj_opts_result nj_opt_set_session_expiry(struct nj_opts *opts, const struct nj_opts_row *row,
                                              const char *value);
enum nj_opts_result nj_opt_set_version(struct nj_opts *opts, const struct nj_opts_row *row,
                                       const char *value);
enum nj_opts_result nj_opt_set_retain_handling(struct nj_opts *opts, const struct nj_opts_row *row,
                                               const char *value);
enum nj_opts_result nj_opt_add_topic(struct nj_opts *opts, const struct nj_opts_row *row,
                                     const char *value);
enum nj_opts_result nj_opt_set_response_topic(struct nj_opts *opts, const struct nj_opts_row *row,
                                              const char *value);
enum nj_opts_result nj_opt_add_filter(struct nj_opts *opts, const struct nj_opts_row *row,
                                      const char *value);
enum nj_opts_result nj_opt_set_mode(struct nj_opts *opts, const struct nj_opts_row *row,
                                    const char *value);
enum nj_opts_result nj_opt_set_format(struct nj_opts *opts, const struct nj_opts_row *row,
                                      const char *value);
enum nj_opts_result nj_opt_read_url(struct nj_opts *opts, const struct nj_opts_row *row,
                                    const char *value);
enum nj_opts_result nj_opt_read_proxy(struct nj_opts *opts, const struct nj_opts_row *row,
                                      const char *value);
enum nj_opts_result nj_opt_skip(struct nj_opts *opts, const struct nj_opts_row *row,
                                const char *value);
enum nj_opts_result nj_opt_help(struct nj_opts *opts, const struct nj_opts_row *row,
                                const char *value);

#endif
