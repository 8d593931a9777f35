/* A message as one JSON object, for %j and %J. */
#ifndef NJ_APPS_NJ_FORMAT_JSON_H
#define NJ_APPS_NJ_FORMAT_JSON_H

#include "format.h"

/* Appends the object. `is_parsed`: the payload is JSON and goes in as it is; else it is quoted.
 * NJ_EMALFORMED: it is no JSON, nothing was appended. NJ_ENOMEM. */
enum nj_err nj_format_json(struct nj_buf *out, const struct nj_client_message *message,
                           const struct nj_format_options *options, bool is_parsed) NJ_NODISCARD;

#endif
