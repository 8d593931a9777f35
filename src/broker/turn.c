/* See turn.h. */
#include "broker/turn.h"

#include "broker/shard.h"

/* Of one job before the next one has its turn. */
#define JOB_STEPS 250u

void nj_turn_init(struct nj_turn *turn)
{
    *turn = (struct nj_turn){.steps_left = NJ_TURN_STEPS};
    nj_list_init(&turn->jobs);
}

void nj_turn_begin(struct nj_turn *turn, size_t memory, bool has_rest)
{
    if (!has_rest) {
        turn->usual_memory = memory;
    }
}

void nj_turn_open(struct nj_turn *turn, size_t memory)
{
    size_t grown = memory > turn->usual_memory ? memory - turn->usual_memory : 0;
    size_t doublings = grown / NJ_TURN_MEMORY;
    turn->steps_left = doublings < NJ_TURN_DOUBLINGS ? NJ_TURN_STEPS << doublings : UINT32_MAX;
}

void nj_job_add(struct nj_turn *turn, struct nj_job *job)
{
    nj_list_push_back(&turn->jobs, &job->node);
}

bool nj_jobs_run(struct nj_shard *shard)
{
    struct nj_list *jobs = &shard->turn.jobs;
    for (uint32_t used = 0; used < NJ_TURN_STEPS && !nj_list_is_empty(jobs); used += JOB_STEPS) {
        struct nj_job *job = NJ_CONTAINER(nj_list_pop_front(jobs), struct nj_job, node);
        if (!job->run(job, shard, JOB_STEPS)) {
            nj_list_push_back(jobs, &job->node);
        }
    }
    return !nj_list_is_empty(jobs);
}

void nj_jobs_finish(struct nj_shard *shard)
{
    while (nj_jobs_run(shard)) {
    }
}
