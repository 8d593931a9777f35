/* What is in a mosquitto.db as one JSON object, under the keys that mosquitto_db_dump --json has.
 */
#ifndef NJ_APPS_NJ_DB_JSON_H
#define NJ_APPS_NJ_DB_JSON_H

#include "base/bytes.h"
#include "base/err.h"

/* Prints `file`, the whole of a mosquitto.db, to standard output. As nj_mosquitto_db_read; of a
 * damaged file nothing is printed. */
enum nj_err nj_db_json_print(struct nj_bytes file) NJ_NODISCARD;

#endif
