/* What the path of a request means. Pure functions of text and file system; any thread. */
#ifndef NJ_HTTP_PATH_H
#define NJ_HTTP_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* Replaces %XX, in place; returns the new length. The text never holds a NUL before its end. */
size_t nj_http_unescape(char *text);

/* The real path of what `path` (from the root "/") means below `dir`, when that lies below it: no
 * way out by ".." or by a symbolic link. A path that ends in "/" means index.html there. Blocks on
 * the disk. */
bool nj_http_path_find(const char *dir, const char *path, char out[PATH_MAX]);

#endif
