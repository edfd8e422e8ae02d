/* SPDX-License-Identifier: Apache-2.0 */
#include "links.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "session.h"

#define MAX_PROBES 64

static napi_value keep_link(napi_env env, struct session *session, int fd)
{
	for (int i = 0; i < session->link_count; i++) {
		if (session->links[i] < 0) {
			session->links[i] = fd;
			return make_number(env, i);
		}
	}
	if (session->link_count == MAX_LINKS) {
		close(fd);
		return throw_errno(env, "attach", EMFILE);
	}
	session->links[session->link_count] = fd;
	return make_number(env, session->link_count++);
}

/* attachTracepoint(session, program, name) → link */
napi_value attach_tracepoint(napi_env env, napi_callback_info info)
{
	napi_value arguments[3];
	struct session *session;
	uint32_t program;
	char name[128];
	int fd;

	if (!get_arguments(env, info, arguments, 3) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], session->program_count, &program) ||
	    !get_string(env, arguments[2], name, sizeof(name)))
		return NULL;
	fd = kernel_attach_tracepoint(session->program_fds[program], name);
	if (fd < 0)
		return throw_errno(env, "attach to a tracepoint", -fd);
	return keep_link(env, session, fd);
}

/* runProgram(session, program) */
napi_value run_program(napi_env env, napi_callback_info info)
{
	napi_value arguments[2];
	struct session *session;
	uint32_t program;
	int error;

	if (!get_arguments(env, info, arguments, 2) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], session->program_count, &program))
		return NULL;
	error = kernel_run_program(session->program_fds[program]);
	if (error < 0)
		return throw_errno(env, "run a program", -error);
	return NULL;
}

struct probe_arguments {
	struct session *session;
	uint32_t program;
	char path[4096];
	uint64_t *offsets;
	uint64_t *cookies;
	uint32_t count;
	bool at_return;
};

/* (session, program, path, offsets: BigUint64Array, cookies: BigUint64Array, atReturn) */
static bool get_probe_arguments(napi_env env, napi_callback_info info, struct probe_arguments *probe)
{
	napi_value arguments[6];
	size_t offsets_size, cookies_size;

	if (!get_arguments(env, info, arguments, 6) || !get_session(env, arguments[0], &probe->session) ||
	    !get_index(env, arguments[1], probe->session->program_count, &probe->program) ||
	    !get_string(env, arguments[2], probe->path, sizeof(probe->path)) ||
	    !get_bytes(env, arguments[3], (void **)&probe->offsets, &offsets_size) ||
	    !get_bytes(env, arguments[4], (void **)&probe->cookies, &cookies_size))
		return false;
	probe->count = (uint32_t)(offsets_size / sizeof(uint64_t));
	if (napi_get_value_bool(env, arguments[5], &probe->at_return) != napi_ok || offsets_size != cookies_size ||
	    probe->count == 0 || probe->count > MAX_PROBES)
		return throw_argument(env);
	return true;
}

/* attachUprobeMulti(…) → [link] */
napi_value attach_uprobe_multi(napi_env env, napi_callback_info info)
{
	struct probe_arguments probe;
	napi_value links, link;
	int fd;

	if (!get_probe_arguments(env, info, &probe))
		return NULL;
	fd = kernel_attach_uprobe_multi(probe.session->program_fds[probe.program], probe.path, probe.offsets, probe.cookies,
					probe.count, probe.at_return);
	if (fd < 0)
		return throw_errno(env, "attach uprobes", -fd);
	link = keep_link(env, probe.session, fd);
	if (link == NULL || napi_create_array(env, &links) != napi_ok || napi_set_element(env, links, 0, link) != napi_ok)
		return NULL;
	return links;
}

/* attachUprobePerf(…) → links, two for each offset */
napi_value attach_uprobe_perf(napi_env env, napi_callback_info info)
{
	struct probe_arguments probe;
	napi_value links, link;
	uint32_t length = 0;

	if (!get_probe_arguments(env, info, &probe) || napi_create_array(env, &links) != napi_ok)
		return NULL;
	for (uint32_t i = 0; i < probe.count; i++) {
		struct perf_uprobe uprobe;
		int error = kernel_attach_uprobe_perf(probe.session->program_fds[probe.program], probe.path, probe.offsets[i],
						      probe.cookies[i], probe.at_return, &uprobe);

		if (error < 0)
			return throw_errno(env, "attach a uprobe", -error);
		link = keep_link(env, probe.session, uprobe.link_fd);
		if (link == NULL || napi_set_element(env, links, length++, link) != napi_ok)
			return NULL;
		link = keep_link(env, probe.session, uprobe.event_fd);
		if (link == NULL || napi_set_element(env, links, length++, link) != napi_ok)
			return NULL;
	}
	return links;
}

struct closing {
	napi_async_work work;
	napi_deferred deferred;
	int fd;
};

static void close_in_thread(napi_env env, void *data)
{
	struct closing *closing = data;

	(void)env;
	close(closing->fd);
}

static void finish_closing(napi_env env, napi_status status, void *data)
{
	struct closing *closing = data;
	napi_value nothing;

	if (status == napi_cancelled)
		close(closing->fd);
	if (napi_get_undefined(env, &nothing) == napi_ok)
		napi_resolve_deferred(env, closing->deferred, nothing);
	napi_delete_async_work(env, closing->work);
	free(closing);
}

/*
 * detachInThread(session, link) → promise. The kernel waits tens of milliseconds for each link with uprobes: several go
 * at once in Node's pool, and the session may be closed meanwhile.
 */
napi_value detach_in_thread(napi_env env, napi_callback_info info)
{
	napi_value arguments[2], promise, name;
	struct session *session;
	struct closing *closing;
	uint32_t link;

	if (!get_arguments(env, info, arguments, 2) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], (uint32_t)session->link_count, &link))
		return NULL;
	closing = calloc(1, sizeof(*closing));
	if (!closing)
		return throw_errno(env, "detach", ENOMEM);
	closing->fd = session->links[link];
	if (napi_create_promise(env, &closing->deferred, &promise) != napi_ok ||
	    napi_create_string_utf8(env, "agsight:detach", NAPI_AUTO_LENGTH, &name) != napi_ok ||
	    napi_create_async_work(env, arguments[0], name, close_in_thread, finish_closing, closing, &closing->work) != napi_ok ||
	    napi_queue_async_work(env, closing->work) != napi_ok) {
		free(closing);
		return throw_errno(env, "detach", ENOMEM);
	}
	session->links[link] = -1;
	return promise;
}

/* detach(session, link) */
napi_value detach_link(napi_env env, napi_callback_info info)
{
	napi_value arguments[2];
	struct session *session;
	uint32_t link;

	if (!get_arguments(env, info, arguments, 2) || !get_session(env, arguments[0], &session) ||
	    !get_index(env, arguments[1], (uint32_t)session->link_count, &link))
		return NULL;
	if (session->links[link] >= 0)
		close(session->links[link]);
	session->links[link] = -1;
	return NULL;
}
