/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
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

void close_rings(struct session *session)
{
	for (int i = 0; i < RINGS; i++)
		kernel_ring_close(&session->rings[i]);
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
	/* A thread that waits looks at them. */
	if (!session->waiting)
		close_rings(session);
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

/* A skeleton on its way into the kernel. */
struct loading {
	napi_async_work work;
	napi_deferred deferred;
	struct session *session;
	struct skeleton skeleton;
	uint32_t max_entries[MAX_MAPS];
	int error;
	uint8_t bytes[];
};

static void load_in_thread(napi_env env, void *data)
{
	struct loading *loading = data;
	struct session *session = loading->session;

	(void)env;
	loading->error = kernel_load(&loading->skeleton, loading->max_entries, session->map_fds, session->program_fds);
}

/* What waits for the ring can be told that the session is closed. */
static int prepare_waiting(struct session *session)
{
	session->wake_fd = eventfd(0, EFD_CLOEXEC);
	session->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (session->wake_fd < 0 ||
	    epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, session->wake_fd, &(struct epoll_event){ .events = EPOLLIN }))
		return -errno;
	return 0;
}

static void finish_loading(napi_env env, napi_status status, void *data)
{
	struct loading *loading = data;
	struct session *session = loading->session;
	const char *what = "load the eBPF programs";
	int error = status == napi_cancelled ? -ECANCELED : loading->error;
	napi_value result = NULL;

	if (error < 0) {
		free(session);
	} else {
		session->open = true;
		what = "prepare waiting for events";
		error = prepare_waiting(session);
		if (error < 0) {
			close_session(session);
			free_session(session);
		} else {
			napi_add_env_cleanup_hook(env, close_at_exit, session);
			if (napi_create_external(env, session, finalize_session, NULL, &result) != napi_ok) {
				finalize_session(env, session, NULL);
				error = -ENOMEM;
			}
		}
	}
	if (error < 0)
		napi_reject_deferred(env, loading->deferred, make_error(env, what, -error));
	else
		napi_resolve_deferred(env, loading->deferred, result);
	napi_delete_async_work(env, loading->work);
	free(loading);
}

/*
 * load(instructions, data, maxEntries: Uint32Array, programCount) → promise of a session. The kernel examines the programs
 * for a tenth of a second, meanwhile Node goes on.
 */
napi_value session_load(napi_env env, napi_callback_info info)
{
	napi_value arguments[4], promise, name;
	void *instructions, *data, *max_entries;
	size_t max_entries_size;
	struct skeleton skeleton = { 0 };
	struct loading *loading;
	struct session *session;

	if (!get_arguments(env, info, arguments, 4) ||
	    !get_bytes(env, arguments[0], &instructions, &skeleton.instructions_size) ||
	    !get_bytes(env, arguments[1], &data, &skeleton.data_size) ||
	    !get_bytes(env, arguments[2], &max_entries, &max_entries_size) ||
	    !get_index(env, arguments[3], MAX_PROGRAMS + 1, &skeleton.program_count))
		return NULL;
	skeleton.map_count = (unsigned)(max_entries_size / sizeof(uint32_t));
	if (skeleton.map_count > MAX_MAPS) {
		throw_argument(env);
		return NULL;
	}

	loading = calloc(1, sizeof(*loading) + skeleton.instructions_size + skeleton.data_size);
	if (!loading)
		return throw_errno(env, "load the eBPF programs", ENOMEM);
	session = calloc(1, sizeof(*session));
	if (!session) {
		free(loading);
		return throw_errno(env, "load the eBPF programs", ENOMEM);
	}
	session->env = env;
	session->map_count = skeleton.map_count;
	session->program_count = skeleton.program_count;
	loading->session = session;
	/* Of its own: JavaScript may collect or change what it has passed. */
	skeleton.instructions = memcpy(loading->bytes, instructions, skeleton.instructions_size);
	skeleton.data = memcpy(loading->bytes + skeleton.instructions_size, data, skeleton.data_size);
	memcpy(loading->max_entries, max_entries, max_entries_size);
	loading->skeleton = skeleton;
	if (napi_create_promise(env, &loading->deferred, &promise) != napi_ok ||
	    napi_create_string_utf8(env, "agsight:load", NAPI_AUTO_LENGTH, &name) != napi_ok ||
	    napi_create_async_work(env, arguments[0], name, load_in_thread, finish_loading, loading, &loading->work) != napi_ok ||
	    napi_queue_async_work(env, loading->work) != napi_ok) {
		free(session);
		free(loading);
		return throw_errno(env, "load the eBPF programs", ENOMEM);
	}
	return promise;
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
