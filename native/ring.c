/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "session.h"

/* Node cannot exit while a wait is in progress, so none lasts longer than this. */
#define WAIT_MS 200

struct wait {
	struct session *session;
	napi_async_work work;
	napi_deferred deferred;
};

/* openRing(session, map, bytes) */
napi_value open_ring(napi_env env, napi_callback_info info)
{
	napi_value arguments[3];
	struct session *session;
	uint32_t map, size;
	int error;

	if (!get_arguments(env, info, arguments, 3) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], session->map_count, &map) || !get_index(env, arguments[2], UINT32_MAX, &size))
		return NULL;
	error = kernel_ring_open(session->map_fds[map], size, &session->ring);
	if (error < 0)
		return throw_errno(env, "map the ring", -error);
	if (epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, session->map_fds[map], &(struct epoll_event){ .events = EPOLLIN }))
		return throw_errno(env, "watch the ring", errno);
	return NULL;
}

/* drain(session, buffer) → bytes written */
napi_value drain_ring(napi_env env, napi_callback_info info)
{
	napi_value arguments[2];
	struct session *session;
	void *buffer;
	size_t capacity;

	if (!get_arguments(env, info, arguments, 2) || !get_session(env, arguments[0], &session) ||
	    !get_bytes(env, arguments[1], &buffer, &capacity))
		return NULL;
	if (!session->ring.data)
		return throw_errno(env, "drain the ring", EBADF);
	return make_number(env, (double)kernel_ring_drain(&session->ring, buffer, capacity));
}

static void wait_in_thread(napi_env env, void *data)
{
	struct wait *wait = data;
	struct epoll_event event;

	(void)env;
	epoll_wait(wait->session->epoll_fd, &event, 1, WAIT_MS);
}

static void finish_wait(napi_env env, napi_status status, void *data)
{
	struct wait *wait = data;
	struct session *session = wait->session;
	napi_value open;

	session->waiting = false;
	if (status != napi_cancelled && napi_get_boolean(env, session->open, &open) == napi_ok)
		napi_resolve_deferred(env, wait->deferred, open);
	napi_delete_async_work(env, wait->work);
	free(wait);
}

/*
 * wait(session) → promise of whether the session is still open; settles when the ring has records, the session
 * is closed or some time has passed. One at a time. Occupies a thread of Node's pool, which needs neither uv.h nor pthreads.
 */
napi_value wait_for_ring(napi_env env, napi_callback_info info)
{
	napi_value arguments[1], promise, name;
	struct session *session;
	struct wait *wait;

	if (!get_arguments(env, info, arguments, 1) || !get_session(env, arguments[0], &session))
		return NULL;
	if (session->waiting)
		return throw_errno(env, "wait for the ring", EBUSY);
	wait = calloc(1, sizeof(*wait));
	if (!wait)
		return throw_errno(env, "wait for the ring", ENOMEM);
	wait->session = session;
	if (napi_create_promise(env, &wait->deferred, &promise) != napi_ok ||
	    napi_create_string_utf8(env, "agsight:wait", NAPI_AUTO_LENGTH, &name) != napi_ok ||
	    napi_create_async_work(env, arguments[0], name, wait_in_thread, finish_wait, wait, &wait->work) != napi_ok ||
	    napi_queue_async_work(env, wait->work) != napi_ok) {
		free(wait);
		return throw_errno(env, "wait for the ring", ENOMEM);
	}
	session->waiting = true;
	return promise;
}
