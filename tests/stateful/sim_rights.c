/* Changes of rights and logins, in the order in which front makes them; see sim.h. */
#include <stdio.h>

#include "security/login.h"
#include "sim.h"

/* Front asks so of each connection when the policy is another one. */
static bool still_holds(struct sim *sim, unsigned c)
{
    const struct nj_session *session = sim->clients[c].conn->link.session;
    const struct nj_login_held held = {
        .user = session->subject.user,
        .client_id = session->subject.client_id,
        .credential = session->credential,
    };
    return nj_login_still_holds(sim->rig.shards[0]->policy, session->subject.scope, &held);
}

/* Whose account is gone, disabled or other than it was. */
static void close_ended_logins(struct sim *sim)
{
    for (unsigned c = 0; sim->admin && c < sim->model.clients; c++) {
        struct sim_client *client = &sim->clients[c];
        int user = sim->model.sessions[c].user;
        if (!client->conn || client->conn->is_closed) {
            continue;
        }
        bool holds = admin_lets_in(sim->admin, user, c) &&
                     client->password == admin_password(sim->admin, user);
        if (still_holds(sim, c) != holds) {
            sim_fail(sim, "c%u: its login %s", c,
                     holds ? "does not hold any more" : "holds although it should not");
        }
        if (!holds) {
            struct rig_client *conn = client->conn;
            sim_note(sim, "       c%u is closed", c);
            sim_forget_connection(sim, c);
            model_detach(&sim->model, c, true);
            rig_break(conn);
        }
    }
}

void sim_set_rights(struct sim *sim, unsigned rights)
{
    bool is_blocked[CLIENTS_MAX];
    for (unsigned c = 0; c < CLIENTS_MAX; c++) {
        is_blocked[c] = sim->clients[c].is_blocked || sim->rig.store.holds;
    }
    sim_note(sim, "       rights %u", rights);
    if (sim->admin) {
        rig_dynsec(&sim->rig, admin_state(sim->admin));
    }
    rig_policy(&sim->rig, model_rights_text(rights));
    rig_adopt(&sim->rig);
    model_set_rights(&sim->model, rights, is_blocked);
    close_ended_logins(sim);
    rig_run(&sim->rig);
}

void sim_change_dynsec(struct sim *sim, const struct step *step)
{
    char text[80];
    if (!sim->admin) {
        return;
    }
    admin_change(sim->admin, step->arg, text, sizeof(text));
    sim_note(sim, "       %s", text);
    sim_set_rights(sim, sim->model.rights);
}

void sim_open_rights(struct sim *sim)
{
    if (sim->admin) {
        admin_open(sim->admin);
    }
    sim_set_rights(sim, 0);
}

/* With the right password, if there is one: to hash it is not what is tested here. */
bool sim_log_in(struct sim *sim, unsigned c, int user, struct rig_connect *options)
{
    const char *name = sim_user_name(user);
    char id[8];
    (void)snprintf(id, sizeof(id), "c%u", c);
    if (!sim->admin) {
        return true;
    }
    const struct nj_login_request request = {
        .user = nj_bytes_of(name),
        .password = name ? nj_bytes_of("password") : nj_bytes(NULL, 0),
        .client_id = nj_bytes_of(id),
    };
    struct nj_login_decision decision;
    nj_login_decide(atomic_load(&sim->rig.core.policy), &request, &decision);
    bool is_in = decision.result == NJ_LOGIN_ACCEPTED ||
                 (decision.result == NJ_LOGIN_VERIFY && decision.hash.len);
    if (is_in != admin_lets_in(sim->admin, user, c)) {
        sim_fail(sim, "c%u as %s %s", c, name ? name : "nobody",
                 is_in ? "is let in" : "is not let in");
    }
    options->credential = decision.credential;
    return is_in;
}
