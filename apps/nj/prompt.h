/* Asking for a password without showing it. */
#ifndef NJ_APPS_NJ_PROMPT_H
#define NJ_APPS_NJ_PROMPT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"

/* Longest password that can be typed or piped in. */
#define NJ_PROMPT_MAX 65535

/* Prints `text` to `out` and reads one line from standard input; in a terminal with the echo off,
 * which comes back also when the user interrupts. The line goes to `password` without its newline.
 * False: end of input, too long, or interrupted (the signal is raised again first). */
bool nj_prompt_password(const char *text, FILE *out, struct nj_buf *password);

#endif
