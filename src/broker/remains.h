/* What an ended session leaves: filters that still name it, and references to retained messages.
 * Nobody finds the session any more and nothing is delivered to it (`has_ended`), so that its
 * client id is free at once; taking the rest apart may take many turns. */
#ifndef NJ_BROKER_REMAINS_H
#define NJ_BROKER_REMAINS_H

struct nj_session;

/* Frees a session that is in no table and has neither link, flow nor will: now when that is quick,
 * else as a job (turn.h). */
void nj_remains_leave(struct nj_session *session);

#endif
