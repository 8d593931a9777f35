/* See sub_output.h. A message is put together in memory and written with one call, so that two
 * tools writing to one pipe do not mix lines more than they have to. */
#include "sub_output.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "format.h"
#include "pretty.h"

#define WATCHED_MAX 1000

void nj_sub_output_init(struct nj_sub_output *output, const struct nj_opts *opts)
{
    *output = (struct nj_sub_output){.opts = opts};
    nj_buf_init(&output->line);
    output->is_pretty = !opts->command->is_compat && isatty(STDOUT_FILENO) == 1 &&
                        opts->format == NULL && !opts->no_eol && !opts->is_watch;
    output->has_colour = output->is_pretty && nj_pretty_wants_colour();
}

void nj_sub_output_fini(struct nj_sub_output *output)
{
    nj_buf_fini(&output->line);
    for (size_t i = 0; i < output->watched.count; i++) {
        nj_free(output->watched.items[i]);
    }
    nj_free(output->watched.items);
}

static enum nj_err put_text(struct nj_buf *out, const char *text)
{
    return nj_buf_append(out, text, strlen(text));
}

static enum nj_err put_bytes(struct nj_buf *out, struct nj_bytes bytes)
{
    return bytes.len > 0 ? nj_buf_append(out, bytes.ptr, bytes.len) : NJ_OK;
}

static enum nj_err put_verbose(struct nj_sub_output *output,
                               const struct nj_client_message *message)
{
    bool has_eol = !output->opts->no_eol;
    struct nj_buf *line = &output->line;
    if (message->payload.len == 0 && !has_eol) {
        return NJ_OK; /* as the original */
    }
    enum nj_err err = put_bytes(line, message->topic);
    if (err == NJ_OK) {
        err = put_text(line, message->payload.len > 0 ? " " : " (null)");
    }
    if (err == NJ_OK) {
        err = put_bytes(line, message->payload);
    }
    return err == NJ_OK && has_eol ? put_text(line, "\n") : err;
}

static enum nj_err put_format(struct nj_sub_output *output, const struct nj_client_message *message)
{
    const struct nj_opts *opts = output->opts;
    const struct nj_format_options options = {
        .now_ns = nj_clock_wall_ns(),
        .is_pretty = opts->is_pretty,
        .is_compat = opts->command->is_compat,
        .err = opts->is_quiet ? NULL : stderr,
    };
    enum nj_err err = nj_format_message(&output->line, opts->format, message, &options);
    return err == NJ_OK && !opts->no_eol ? put_text(&output->line, "\n") : err;
}

/* Moves to the line of the topic; a new topic gets the next one. */
static enum nj_err put_watch_position(struct nj_sub_output *output, struct nj_bytes topic)
{
    struct nj_opts_list *watched = &output->watched;
    size_t i = 0;
    while (i < watched->count && !nj_bytes_equal(nj_bytes_of(watched->items[i]), topic)) {
        i++;
    }
    enum nj_err err = NJ_OK;
    if (watched->count == 0) {
        err = put_text(&output->line, "\033[2J");
    }
    if (i == watched->count && i < WATCHED_MAX) {
        char *name = nj_bytes_dup(topic);
        nj_opts_list_add(watched, name);
        nj_free(name);
    }
    return err == NJ_OK ? nj_buf_printf(&output->line, "\033[%zu;1H\033[K", i + 1) : err;
}

static enum nj_err put_message(struct nj_sub_output *output,
                               const struct nj_client_message *message)
{
    const struct nj_opts *opts = output->opts;
    enum nj_err err = NJ_OK;
    if (output->is_pretty) {
        return nj_pretty_message(&output->line, message, nj_clock_wall_ns(), output->has_colour);
    }
    if (opts->is_watch) {
        err = put_watch_position(output, message->topic);
    }
    if (err != NJ_OK) {
        return err;
    }
    if (opts->format != NULL) {
        return put_format(output, message);
    }
    if (opts->is_verbose) {
        return put_verbose(output, message);
    }
    if (message->payload.len == 0) {
        return NJ_OK; /* as the original: not even an empty line */
    }
    err = put_bytes(&output->line, message->payload);
    return err == NJ_OK && !opts->no_eol ? put_text(&output->line, "\n") : err;
}

enum nj_err nj_sub_output_message(struct nj_sub_output *output,
                                  const struct nj_client_message *message)
{
    output->line.len = 0;
    enum nj_err err = put_message(output, message);
    if (err == NJ_OK && output->line.len > 0) {
        /* A failure shows in ferror(stdout), which the caller looks at when it flushes. */
        (void)fwrite(output->line.data, 1, output->line.len, stdout);
    }
    return err;
}
