/* Static files below http_dir: regular files; no lists of directories. Which file a path means is
 * decided in path.c. */
#include <sys/stat.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "http/http_priv.h"
#include "http/path.h"

static const char *type_of(const char *path)
{
    static const struct {
        const char *suffix;
        const char *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".json", "application/json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".ico", "image/x-icon"},
        {".txt", "text/plain; charset=utf-8"},
        {".woff2", "font/woff2"},
    };
    size_t len = strlen(path);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        size_t suffix_len = strlen(types[i].suffix);
        if (len > suffix_len && strcmp(path + len - suffix_len, types[i].suffix) == 0) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}

static int open_file(const char *path, uint64_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
        (void)close(fd);
        return -1;
    }
    *size = fd >= 0 ? (uint64_t)st.st_size : 0;
    return fd;
}

enum MHD_Result nj_http_file(struct nj_http_request *request, const char *dir, const char *path)
{
    char real[PATH_MAX];
    uint64_t size = 0;
    int fd = nj_http_path_find(dir, path, real) ? open_file(real, &size) : -1;
    if (fd < 0) {
        return nj_http_answer_text(request, MHD_HTTP_NOT_FOUND, "Not found.\n");
    }
    struct MHD_Response *response = MHD_create_response_from_fd64(size, fd);
    if (!response) {
        (void)close(fd);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type_of(real));
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    enum MHD_Result done = MHD_queue_response(request->connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    nj_http_count(request->http, MHD_HTTP_OK);
    return done;
}
