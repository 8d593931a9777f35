/* See path.h. */
#include "http/path.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "%00" would end the text early; it becomes something that no path has. */
size_t nj_http_unescape(char *text)
{
    for (char *at = text; (at = strstr(at, "%00")) != NULL; at++) {
        at[2] = '1';
    }
    return MHD_http_unescape(text);
}

bool nj_http_path_find(const char *dir, const char *path, char out[PATH_MAX])
{
    char root[PATH_MAX];
    char wanted[PATH_MAX];
    size_t len = strlen(path);
    const char *index = len > 0 && path[len - 1] == '/' ? "index.html" : "";
    int size = snprintf(wanted, sizeof(wanted), "%s/%s%s", dir, path, index);
    if (path[0] != '/' || size < 0 || (size_t)size >= sizeof(wanted) || !realpath(dir, root) ||
        !realpath(wanted, out)) {
        return false;
    }
    size_t root_len = strlen(root);
    return strncmp(out, root, root_len) == 0 && (out[root_len] == '/' || root_len == 1);
}
