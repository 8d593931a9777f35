/* HTTP: the API of Mosquitto (`protocol http_api`), metrics, health and static files.
 *
 *   GET /api/v1/version     the version, as text
 *   GET /api/v1/systree     the $SYS values that the user may read, as JSON
 *   GET /api/v1/listeners   the listeners, as JSON
 *   GET /metrics            OpenMetrics
 *   GET /health/live        200 while the workers turn, else 503
 *   GET /health/ready       200 while clients can be served (also /health), else 503
 *   GET /…                  a file below http_dir, when there is one
 *
 * One thread of its own for all such listeners; no worker has a part in it. A request logs in as an
 * MQTT client does (HTTP Basic; client id "http-api"; the same sources, the auth pool, refusals
 * that tell nothing by their time), or is anonymous where that is allowed. Natively each path that
 * tells something needs the right to receive a topic below $SYS (see api.c), in compat mode to
 * receive the path itself. */
#ifndef NJ_HTTP_HTTP_H
#define NJ_HTTP_HTTP_H

#include "base/err.h"

struct nj_front;
struct nj_http;

/* Serves the front's listeners with protocol http_api; *out is NULL when there are none. After the
 * workers were started. Logs what is wrong. */
enum nj_err nj_http_start(struct nj_front *front, struct nj_http **out) NJ_NODISCARD;
/* Before the front is stopped: ends every connection and waits for logins that are under way. NULL
 * is allowed. */
void nj_http_stop(struct nj_http *http);

#endif
