/* The store that holds what it is given, and the process that dies; see sim.h.
 *
 *   hold ── step ── step ──┬── step ── … ── crash
 *                     crash point: what was submitted up to here is on the disk, the rest is lost
 *
 * The store completes groups in the order in which they were submitted, so what is left of the
 * steps since it held is their beginning. The model is kept as it was there and goes on from it: as
 * nothing was answered that the store did not have (sim_expect_durable), nobody was promised more.
 * Inside one publication or release the groups may be cut, too. */
#include <string.h>

#include "sim.h"

#define WILL_PACE_MS 50 /* after a start wills go out one after the other */
#define STEPS_MAX    12 /* from holding to the crash point */

void sim_hold_store(struct sim *sim, const struct step *step)
{
    if (sim->rig.store.holds) {
        return;
    }
    sim->rig.store.holds = true;
    sim->point.is_reached = false;
    sim->point.steps_left = step->arg[0] % STEPS_MAX;
    sim->point.cut = step->arg[1];
}

void sim_release_store(struct sim *sim)
{
    sim->rig.store.holds = false;
    sim->point.is_reached = false;
    for (unsigned c = 0; c < sim->model.clients; c++) {
        for (unsigned i = 0; i < sim->clients[c].answer_count; i++) {
            sim->clients[c].answers[i].is_promise = false;
        }
    }
    rig_store_release(&sim->rig, NJ_OK);
    rig_run(&sim->rig);
}

/* Of a publication that was cut nobody was told anything: each of its receivers may have it. */
static void loosen_publication(struct model *model, uint32_t serial)
{
    for (unsigned c = 0; c < model->clients; c++) {
        struct m_session *session = &model->sessions[c];
        for (unsigned i = 0; i < session->due_count; i++) {
            session->dues[i].is_optional |= session->dues[i].message.serial == serial;
        }
    }
    for (unsigned i = 0; i < FLOATS_MAX; i++) {
        model->floats[i].is_optional |= model->floats[i].message.serial == serial;
    }
}

/* The connections of now are gone by the time it is needed. */
static void keep_model(struct sim *sim)
{
    struct model *model = &sim->point.model;
    *model = sim->model;
    for (unsigned c = 0; c < model->clients; c++) {
        if (sim->clients[c].conn && sim->clients[c].has_max_packet) {
            model_loosen_large(model, c);
        }
    }
}

/* The step behind the crash point. */
static void cut_step(struct sim *sim)
{
    struct sim_crash_point *point = &sim->point;
    const struct step *step = &sim->plan->steps[sim->step];
    unsigned more = sim->rig.store.group_count - point->groups;
    uint32_t cut = point->cut;
    point->cut = 0;
    if (!cut || more < 2) {
        return;
    }
    bool is_plain = step->kind == STEP_PUBLISH && step->arg[1] % 3 < 2 && step->arg[2] % 4 != 0;
    if (is_plain) {
        keep_model(sim);
        loosen_publication(&point->model, sim->last_serial);
    }
    if (is_plain || step->kind == STEP_PUBREL) {
        point->groups +=
            1 + cut % (more - 1); /* all but the last: of a release it says the total */
    }
}

void sim_pass_crash_point(struct sim *sim)
{
    struct sim_crash_point *point = &sim->point;
    if (!sim->rig.store.holds) {
        return;
    }
    if (point->is_reached) {
        cut_step(sim);
    } else if (point->steps_left) {
        point->steps_left--;
    } else {
        point->is_reached = true;
        point->groups = sim->rig.store.group_count;
        keep_model(sim);
    }
}

/* Wills of one moment may go out in any order, which decides what stays retained, and a little
 * later, which decides when they expire. Connections lost together have their wills together, and
 * so have those whose time came while the process was dead. */
static bool has_vague_wills(const struct sim *sim, const struct model *model)
{
    unsigned wills_of[TOPIC_COUNT] = {0};
    bool is_vague = false;
    for (unsigned c = 0; c < model->clients; c++) {
        const struct m_session *session = &model->sessions[c];
        const struct m_will *will = &session->will;
        bool is_past = !session->is_connected && (will->due_ms <= sim->model.now_ms ||
                                                  session->expires_ms <= sim->model.now_ms);
        if (will->is_set && (session->is_connected || is_past)) {
            bool is_due = is_past || session->expiry_s == 0 || will->delay_s == 0;
            is_vague |= wills_of[will->message.topic]++ > 0 || (is_due && will->expiry_s);
        }
    }
    return is_vague;
}

/* What the model is after the crash, but for the connections. */
static void go_back(struct sim *sim)
{
    struct model *model = &sim->model;
    uint64_t now_ms = model->now_ms;
    unsigned rights = model->rights;
    uint32_t last_session = model->last_session;
    *model = sim->point.model;
    model->now_ms = now_ms;
    model->rights = rights;             /* not of this store */
    model->last_session = last_session; /* numbers are never used again */
}

void sim_crash(struct sim *sim)
{
    struct sim_crash_point *point = &sim->point;
    bool goes_back = sim->rig.store.holds && point->is_reached;
    if (has_vague_wills(sim, goes_back ? &point->model : &sim->model)) {
        return;
    }
    sim_note(sim, "       %u of %u groups are on the disk",
             goes_back ? point->groups : sim->rig.store.group_count, sim->rig.store.group_count);
    rig_crash_at(&sim->rig, goes_back ? point->groups : sim->rig.store.group_count);
    if (goes_back) {
        go_back(sim);
    }
    for (unsigned c = 0; c < sim->model.clients; c++) {
        sim_forget_connection(sim, c);
    }
    point->is_reached = false;
    model_crash(&sim->model);
    model_run_timers(&sim->model);
    sim_advance(sim, WILL_PACE_MS);
}
