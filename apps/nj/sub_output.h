/* Where and how the subscribing tool prints a message: plain, -v, -F, --watch, or for a person in
 * a terminal. */
#ifndef NJ_APPS_NJ_SUB_OUTPUT_H
#define NJ_APPS_NJ_SUB_OUTPUT_H

#include "base/buf.h"
#include "client/message.h"
#include "opts.h"

struct nj_sub_output {
    const struct nj_opts *opts;
    struct nj_buf line;          /* scratch */
    struct nj_opts_list watched; /* topics in the order of their lines */
    bool is_pretty;
    bool has_colour;
};

void nj_sub_output_init(struct nj_sub_output *output, const struct nj_opts *opts);
void nj_sub_output_fini(struct nj_sub_output *output);
/* To stdout, which the caller flushes. NJ_ENOMEM. */
enum nj_err nj_sub_output_message(struct nj_sub_output *output,
                                  const struct nj_client_message *message) NJ_NODISCARD;

#endif
