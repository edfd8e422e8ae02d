/* SPDX-License-Identifier: Apache-2.0
 *
 * A loaded skeleton and all that hangs on it.
 */
#ifndef AGSIGHT_SESSION_H
#define AGSIGHT_SESSION_H

#include "arguments.h"
#include "kernel-ring.h"
#include "kernel.h"

#define MAX_LINKS 4096
#define RINGS 2

/* One loaded skeleton and all that hangs on it. Freed when closed and no wait is in progress. */
struct session {
	napi_env env;
	unsigned map_count;
	unsigned program_count;
	int map_fds[MAX_MAPS];
	int program_fds[MAX_PROGRAMS];
	/* Links by id; an id is an index. -1 where detached. */
	int links[MAX_LINKS];
	int link_count;
	/* The records, and what announces programs and libraries. */
	struct ring rings[RINGS];
	int epoll_fd;
	int wake_fd;
	bool open;
	bool waiting;
};

/* Throws when it is no session, or one that was closed. */
bool get_session(napi_env env, napi_value value, struct session **session);
/* What a wait that is in progress still looks at when the session is closed. */
void close_rings(struct session *session);
/* Frees what `close` leaves, which is for a wait that is in progress. */
void free_session(struct session *session);

napi_value session_load(napi_env env, napi_callback_info info);
napi_value session_close(napi_env env, napi_callback_info info);

#endif
