/* See payload.h. */
#include "payload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES 65536

static bool load_stream(const struct nj_link *link, int fd, struct nj_buf *payload)
{
    for (;;) {
        if (nj_buf_reserve(payload, READ_BYTES) != NJ_OK) {
            nj_link_say(link, "Error: Out of memory.\n");
            return false;
        }
        ssize_t n = read(fd, payload->data + payload->len, READ_BYTES);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0;
        }
        payload->len += (size_t)n;
        if (payload->len > NJ_PAYLOAD_MAX) {
            return true; /* the caller says it */
        }
    }
}

static bool load_stdin(const struct nj_link *link, struct nj_buf *payload)
{
    bool is_good = load_stream(link, STDIN_FILENO, payload);
    if (is_good && payload->len > NJ_PAYLOAD_MAX) {
        nj_link_say(link, "Error: Message length must be less than %u bytes.\n\n", NJ_PAYLOAD_MAX);
        is_good = false;
    } else if (is_good && payload->len == 0) {
        nj_link_say(link, "Error: Zero length input.\n");
        is_good = false;
    }
    if (!is_good) {
        nj_link_say(link, "Error loading input from stdin.\n");
    }
    return is_good;
}

static bool load_file(const struct nj_link *link, const char *path, struct nj_buf *payload)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_good = false;
    if (fd >= 0) {
        is_good = load_stream(link, fd, payload);
        (void)close(fd);
    } else if (link->opts->command->is_compat) {
        nj_link_say(link, "Error: Unable to open file \"%s\".\n", path);
    } else {
        nj_link_say(link, "Error: Unable to open file \"%s\": %s.\n", path, strerror(errno));
        return false;
    }
    if (is_good && payload->len > NJ_PAYLOAD_MAX) {
        nj_link_say(link, "Error: File must be less than %u bytes.\n\n", NJ_PAYLOAD_MAX);
        is_good = false;
    }
    if (!is_good) {
        nj_link_say(link, "Error loading input file \"%s\".\n", path);
    }
    return is_good;
}

bool nj_payload_load(const struct nj_link *link, struct nj_buf *payload)
{
    const struct nj_opts *opts = link->opts;
    switch (opts->mode) {
    case NJ_PUB_FILE:
        return load_file(link, opts->file, payload);
    case NJ_PUB_STDIN_FILE:
        return load_stdin(link, payload);
    case NJ_PUB_MESSAGE:
        if (strlen(opts->message) > NJ_PAYLOAD_MAX) {
            nj_link_say(link, "Error: Message length must be less than %u bytes.\n\n",
                        NJ_PAYLOAD_MAX);
            return false;
        }
        return true;
    default:
        return true;
    }
}

struct nj_bytes nj_payload_bytes(const struct nj_opts *opts, const struct nj_buf *payload)
{
    return opts->mode == NJ_PUB_MESSAGE ? nj_bytes_of(opts->message) : nj_buf_bytes(payload);
}
