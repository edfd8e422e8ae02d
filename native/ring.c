/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "session.h"

/* Node cannot exit while a wait is in progress, so none lasts longer than this. */
#define MAX_WAIT_MS 1000

/* Why a wait has ended; src/bpf/kernel-program.ts has the same. */
enum wait_end {
	WAIT_CLOSED,
	WAIT_WOKEN,
	WAIT_PAUSED,
	WAIT_OVER,
};

struct wait {
	struct session *session;
	napi_async_work work;
	napi_deferred deferred;
	unsigned timeout_ms;
	unsigned pause_ms;
	enum wait_end end;
};

/* openRing(session, which, map, bytes); `which` is 0 for the records, 1 for the notices. */
napi_value open_ring(napi_env env, napi_callback_info info)
{
	napi_value arguments[4];
	struct session *session;
	uint32_t which, map, size;
	int error;

	if (!get_arguments(env, info, arguments, 4) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], RINGS, &which) || !get_index(env, arguments[2], session->map_count, &map) ||
	    !get_index(env, arguments[3], UINT32_MAX, &size))
		return NULL;
	error = kernel_ring_open(session->map_fds[map], size, &session->rings[which]);
	if (error < 0)
		return throw_errno(env, "map the ring", -error);
	/* That records are there is not enough, as they are left to gather; the kernel program says when to look. */
	if (epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, session->map_fds[map],
		      &(struct epoll_event){ .events = EPOLLIN | (which == 0 ? EPOLLET : 0) }))
		return throw_errno(env, "watch the ring", errno);
	return NULL;
}

/* drain(session, which, buffer) → bytes written */
napi_value drain_ring(napi_env env, napi_callback_info info)
{
	napi_value arguments[3];
	struct session *session;
	uint32_t which;
	void *buffer;
	size_t capacity;

	if (!get_arguments(env, info, arguments, 3) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], RINGS, &which) || !get_bytes(env, arguments[2], &buffer, &capacity))
		return NULL;
	if (!session->rings[which].data)
		return throw_errno(env, "drain the ring", EBADF);
	return make_number(env, (double)kernel_ring_drain(&session->rings[which], buffer, capacity));
}

/* pending(session, which) → bytes that are there to be drained, with what is still being written */
napi_value pending_in_ring(napi_env env, napi_callback_info info)
{
	napi_value arguments[2];
	struct session *session;
	uint32_t which;

	if (!get_arguments(env, info, arguments, 2) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], RINGS, &which))
		return NULL;
	if (!session->rings[which].data)
		return throw_errno(env, "look at the ring", EBADF);
	return make_number(env, (double)kernel_ring_pending(&session->rings[which]));
}

/* Looks at the ring now and then, as waking JavaScript for that takes a hundred times as much of a CPU. */
static void wait_in_thread(napi_env env, void *data)
{
	struct wait *wait = data;
	const struct ring *records = &wait->session->rings[0];
	struct epoll_event event;
	unsigned waited_ms = 0;

	(void)env;
	wait->end = WAIT_OVER;
	while (waited_ms < wait->timeout_ms) {
		unsigned left_ms = wait->timeout_ms - waited_ms;
		unsigned slice_ms = left_ms < wait->pause_ms ? left_ms : wait->pause_ms;
		size_t pending = kernel_ring_pending(records);

		if (epoll_wait(wait->session->epoll_fd, &event, 1, (int)slice_ms) != 0) {
			wait->end = WAIT_WOKEN;
			return;
		}
		if (pending > 0 && slice_ms == wait->pause_ms && pending == kernel_ring_pending(records)) {
			wait->end = WAIT_PAUSED;
			return;
		}
		waited_ms += slice_ms;
	}
}

static void finish_wait(napi_env env, napi_status status, void *data)
{
	struct wait *wait = data;
	struct session *session = wait->session;
	napi_value end;

	session->waiting = false;
	if (!session->open)
		close_rings(session);
	if (status != napi_cancelled && napi_create_uint32(env, session->open ? wait->end : WAIT_CLOSED, &end) == napi_ok)
		napi_resolve_deferred(env, wait->deferred, end);
	napi_delete_async_work(env, wait->work);
	free(wait);
}

/*
 * wait(session, milliseconds, pause) → promise of a wait_end; settles when there are notices or the kernel program says
 * that records wait, when those that wait have become no more for `pause` milliseconds, when the session is closed or the
 * time has passed. One at a time.
 * Occupies a thread of Node's pool, which needs neither uv.h nor pthreads.
 */
napi_value wait_for_ring(napi_env env, napi_callback_info info)
{
	napi_value arguments[3], promise, name;
	struct session *session;
	uint32_t timeout_ms, pause_ms;
	struct wait *wait;

	if (!get_arguments(env, info, arguments, 3) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], MAX_WAIT_MS + 1, &timeout_ms) ||
	    !get_index(env, arguments[2], MAX_WAIT_MS + 1, &pause_ms))
		return NULL;
	if (!session->rings[0].data || pause_ms == 0)
		return throw_errno(env, "wait for the ring", EINVAL);
	if (session->waiting)
		return throw_errno(env, "wait for the ring", EBUSY);
	wait = calloc(1, sizeof(*wait));
	if (!wait)
		return throw_errno(env, "wait for the ring", ENOMEM);
	wait->session = session;
	wait->timeout_ms = timeout_ms;
	wait->pause_ms = pause_ms;
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
