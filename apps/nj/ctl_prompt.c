/* `nj ctl`: asking for a new password, in the original's words. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ctl.h"
#include "prompt.h"

static bool type_again(const char *user, const struct nj_buf *password)
{
    char prompt[512];
    struct nj_buf again;
    nj_buf_init(&again);
    (void)snprintf(prompt, sizeof(prompt), "Reenter password for %s: ", user);
    bool is_same = nj_prompt_password(prompt, stdout, &again) &&
                   nj_bytes_equal(nj_buf_bytes(password), nj_buf_bytes(&again));
    if (!is_same) {
        fprintf(stderr, "Error: Passwords do not match.\n");
    }
    if (again.data) {
        nj_wipe(again.data, again.cap);
    }
    nj_buf_fini(&again);
    return is_same;
}

bool nj_ctl_new_password(const struct nj_ctl *ctl, const char *user, bool may_be_empty,
                         struct nj_buf *password)
{
    char prompt[512];
    if (may_be_empty) {
        printf("Enter new password for %s. Press return for no password (user will be unable to "
               "login).\n",
               user);
    }
    (void)snprintf(prompt, sizeof(prompt), "New password for %s: ", user);
    bool is_typed = nj_prompt_password(prompt, stdout, password);
    if (password->len == 0) {
        if (!may_be_empty) {
            fprintf(stderr, "Error: Empty password.\n");
        } else if (!is_typed && !ctl->command->is_compat) {
            fprintf(stderr,
                    "Error: nobody is there to type a password; give it with -p, or let the "
                    "broker make one with --generate-password.\n");
        }
        return may_be_empty && (is_typed || ctl->command->is_compat);
    }
    return is_typed && type_again(user, password);
}
