/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool get_session(napi_env env, napi_value value, struct session **session)
{
	if (napi_get_value_external(env, value, (void **)session) != napi_ok)
		return throw_argument(env);
	if (!(*session)->open) {
		napi_throw_error(env, "EBADF", "the capture session is closed");
		return false;
	}
	return true;
}

static void close_session(struct session *session)
{
	uint64_t one = 1;

	if (!session->open)
		return;
	session->open = false;
	/* Programs stop with their links; the ring goes last. */
	for (int i = 0; i < session->link_count; i++) {
		if (session->links[i] >= 0)
			close(session->links[i]);
	}
	for (unsigned i = 0; i < session->program_count; i++)
		close(session->program_fds[i]);
	for (int i = 0; i < RINGS; i++)
		kernel_ring_close(&session->rings[i]);
	for (unsigned i = 0; i < session->map_count; i++)
		close(session->map_fds[i]);
	/* A thread that waits for the ring is let go. */
	if (write(session->wake_fd, &one, sizeof(one)) < 0) {
	}
}

void free_session(struct session *session)
{
	close(session->epoll_fd);
	close(session->wake_fd);
	free(session);
}

static void close_at_exit(void *data)
{
	close_session(data);
}

static void finalize_session(napi_env env, void *data, void *hint)
{
	struct session *session = data;

	(void)hint;
	napi_remove_env_cleanup_hook(env, close_at_exit, session);
	close_session(session);
	if (!session->waiting)
		free_session(session);
}

/* load(instructions, data, maxEntries: Uint32Array, programCount) → session */
napi_value session_load(napi_env env, napi_callback_info info)
{
	napi_value arguments[4], result;
	struct skeleton skeleton = { 0 };
	void *instructions, *data, *max_entries;
	size_t max_entries_size;
	struct session *session;
	int error;

	if (!get_arguments(env, info, arguments, 4) ||
	    !get_bytes(env, arguments[0], &instructions, &skeleton.instructions_size) ||
	    !get_bytes(env, arguments[1], &data, &skeleton.data_size) ||
	    !get_bytes(env, arguments[2], &max_entries, &max_entries_size) ||
	    !get_index(env, arguments[3], MAX_PROGRAMS + 1, &skeleton.program_count))
		return NULL;
	skeleton.instructions = instructions;
	skeleton.data = data;
	skeleton.map_count = (unsigned)(max_entries_size / sizeof(uint32_t));
	if (skeleton.map_count > MAX_MAPS) {
		throw_argument(env);
		return NULL;
	}

	session = calloc(1, sizeof(*session));
	if (!session)
		return throw_errno(env, "allocate the capture session", ENOMEM);
	session->env = env;
	session->map_count = skeleton.map_count;
	session->program_count = skeleton.program_count;
	error = kernel_load(&skeleton, max_entries, session->map_fds, session->program_fds);
	if (error < 0) {
		free(session);
		return throw_errno(env, "load the eBPF programs", -error);
	}
	session->open = true;
	session->wake_fd = eventfd(0, EFD_CLOEXEC);
	session->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	error = session->wake_fd < 0 ? EMFILE : 0;
	if (error == 0 && epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, session->wake_fd,
				    &(struct epoll_event){ .events = EPOLLIN }))
		error = errno;
	if (error != 0) {
		close_session(session);
		free_session(session);
		return throw_errno(env, "prepare waiting for events", error);
	}
	napi_add_env_cleanup_hook(env, close_at_exit, session);
	if (napi_create_external(env, session, finalize_session, NULL, &result) != napi_ok) {
		finalize_session(env, session, NULL);
		return NULL;
	}
	return result;
}

/* close(session) */
napi_value session_close(napi_env env, napi_callback_info info)
{
	napi_value arguments[1];
	struct session *session;

	if (get_arguments(env, info, arguments, 1) &&
	    napi_get_value_external(env, arguments[0], (void **)&session) == napi_ok)
		close_session(session);
	return NULL;
}
